"""What a volume driver is.

A volume has a driver, which keeps its data and says how containers get to see them. Vocabulary: a **volume** is a
record with a name and options; an **owner**, `container/<id>`, uses it; a **source** is what the shim mounts into a
container. Records are written by the domain and are all that a driver may rely on: what it keeps in memory is lost
with the process.

The life of a volume::

    create(volume)            before its record is written: options are judged, its place is made
    mount(volume, owner)      before each start of an owner's container; returns the source
    unmount(volume, owner)    after the container's processes have ended
    remove(volume)            nobody holds it; afterwards its record is deleted

For example, a start that is cut short by a kill after `mount` leaves a record that the owner may have it mounted.
Whoever cleans up after that container calls `unmount`, also when `mount` was never reached.

Rules that every driver keeps, and that `tests/integration/volume/drivers/suite.py` tests with each:

- `create` of what is there, `mount` for an owner that has it mounted, `unmount` and `remove` of what is not there
  change nothing and are no errors. `create` and `mount` never lose data that are there.
- Owners are independent: unmounting for one leaves it mounted for others.
- `create` refuses bad options by InvalidArgument, whose `which` is the option, before anything is made.
- A driver mounts nothing itself where a source can say what is to be mounted: then no mount is left behind by
  whoever is killed.
- `path` and `folder` need not be there; nothing is made by asking.
- `reconcile` touches what belongs to its engine alone, and finds nothing to do the second time.
- Where drivers differ they say so by `capabilities`; no code but `drivers` asks for their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.volume.store import Volume


@dataclass(frozen=True)
class Capabilities:
    """What a driver's volumes are.

    Attributes:
        scope: "local", of this machine, or "global", of several machines that see the same volume.
    """

    scope: str


@dataclass(frozen=True)
class Source:
    """What is mounted into a container, whoever makes the mount.

    Attributes:
        type: "bind", or a file system's name for a mount of its own.
        source: An absolute path of the host for a bind, otherwise what the file system takes (mount(8), "device").
        options: As mount(8) has them; access (ro, rw) comes from the container's wish unless it is here.
        once: A file system of its own is mounted once and shared by all containers that use the volume at a time.
    """

    type: str
    source: str
    options: tuple[str, ...] = ()
    once: bool = False


class Driver(Protocol):
    """See above. Calls for one volume are made one after another: the domain holds a lock."""

    @property
    def capabilities(self) -> Capabilities:
        """What its volumes are; the same for as long as the engine runs."""

    async def create(self, volume: Volume) -> None:
        """Make a volume's place.

        Raises:
            InvalidArgument: An option that the driver does not have, or a value that it cannot use.
        """

    async def mount(self, volume: Volume, owner: str) -> Source:
        """Make a volume ready for an owner's container; return what to mount.

        Raises:
            FailedPrecondition, Unavailable: It cannot be had now; the volume stays.
        """

    async def unmount(self, volume: Volume, owner: str) -> None:
        """Take back what `mount` made ready for an owner."""

    async def remove(self, volume: Volume) -> None:
        """Delete a volume's data, or take them out of sight and delete them in the background (`empty_trash`).

        Raises:
            ScowError: It cannot be done now; the volume stays.
        """

    def path(self, volume: Volume) -> str:
        """Return where on the host the data are, as far as is known without asking; empty when that is nowhere."""

    def fault(self) -> str:
        """Return why its volumes cannot be had now, as far as is known without asking; empty when they can."""

    def folder(self, volume: Volume) -> Path | None:
        """Return the folder of the engine's own that holds the data, None where it is not one.

        What has a folder can be filled from images, counted, limited and cloned by the engine.
        """

    def size_limit(self, volume: Volume) -> int:
        """Return the bytes that a volume's options limit it to and that the engine is to enforce; 0 means no limit."""

    async def reconcile(self, volumes: Sequence[Volume]) -> list[ReconcileAction]:
        """Make what is missing of the volumes on record, delete what no record speaks of.

        Args:
            volumes: All that are of this driver.

        Returns:
            What was done.
        """

    async def close(self) -> None:
        """Finish what was put off; volumes stay as they are."""
