"""What all parts of the container service stand on."""

from __future__ import annotations

from dataclasses import dataclass

from scow.container.entries import Containers
from scow.container.places import Places
from scow.container.spawner import Spawner
from scow.container.tasks import Background
from scow.core.config import Config
from scow.core.peers import Peers


@dataclass(frozen=True)
class Ground:
    """The shared parts."""

    config: Config
    containers: Containers
    places: Places
    spawner: Spawner
    peers: Peers
    background: Background
