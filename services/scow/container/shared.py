"""What all parts of the container service stand on."""

from __future__ import annotations

from dataclasses import dataclass

from scow.container.model.containers import Containers
from scow.container.model.paths import Paths
from scow.container.runtime.spawner import Spawner
from scow.core.config import Config
from scow.core.peers import Peers
from scow.core.tasks import Background


@dataclass(frozen=True)
class Shared:
    """The shared parts."""

    config: Config
    containers: Containers
    paths: Paths
    spawner: Spawner
    peers: Peers
    background: Background
