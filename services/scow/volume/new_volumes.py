"""Volumes that come with content: made aside, and there whole or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import NameInUse
from scow.core import labels as object_labels
from scow.core.times import now_ns
from scow.volume import drivers
from scow.volume.directories import Directories
from scow.volume.staging import TREE
from scow.volume.store import Volume
from scow.volume.volumes import Volumes, check_name


class NewVolumes:
    """Makes volumes of content."""

    def __init__(self, volumes: Volumes, directories: Directories) -> None:
        self._volumes = volumes
        self._directories = directories

    def check(self, name: str, labels: Mapping[str, str]) -> None:
        """Check that a volume may be made.

        Raises:
            InvalidName: A name with characters that are not allowed.
            NameInUse: There is one of this name.
        """
        check_name("volume", name)
        object_labels.check("labels", labels)
        if self._volumes.rows.get(name) is not None:
            raise NameInUse(
                f"there is a volume {name}",
                what="volume",
                which=name,
                do="choose another name, or remove that volume first",
            )

    @contextlib.asynccontextmanager
    async def added(
        self, place: Path, name: str, labels: Mapping[str, str]
    ) -> AsyncIterator[tuple[sqlite3.Connection, pb.Volume]]:
        """Make a volume of what a place has; the block runs in the transaction that records it, and must not await.

        Raises:
            NameInUse: Somebody else has made one of this name.
        """
        async with self._volumes.lock(name):
            await self._volumes.finish_removal(name)
            self.check(name, labels)
            volume = Volume(name, drivers.DEFAULT, now_ns(), dict(labels), filled=True)
            self._directories.adopt(place / TREE, name)
            with self._volumes.store.transaction() as tx:
                self._volumes.record(tx, volume)
                yield tx, self._volumes.message(volume)
