"""What all parts of the container service share."""

from __future__ import annotations

from dataclasses import dataclass

from scow.container.lifecycle.transitions import Transitions
from scow.container.logs.records import Logs
from scow.container.logs.sender import Senders
from scow.container.model.containers import Containers
from scow.container.model.paths import Paths
from scow.container.peers.image import Images
from scow.container.peers.network import Networks
from scow.container.peers.volume import Volumes
from scow.container.runtime.shim import Shim
from scow.container.runtime.spawner import Spawner
from scow.container.secrets.secrets import Secrets
from scow.core.config import Config
from scow.core.tasks import Background


@dataclass(frozen=True)
class Shared:
    """The shared parts."""

    config: Config
    containers: Containers
    paths: Paths
    spawner: Spawner
    images: Images
    volumes: Volumes
    networks: Networks
    transitions: Transitions
    background: Background
    logs: Logs
    senders: Senders
    secrets: Secrets

    def shim(self, container: str) -> Shim:
        """Return the shim of a container, whether or not there is one."""
        return Shim(container, self.paths.socket(container), self.paths.state(container))
