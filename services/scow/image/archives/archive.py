"""An archive that has arrived: its files by name, as ingests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from scow.contract.errors import InvalidArchive, LimitExceeded
from scow.core.archive.read.streams import compression

_HOPS = 8


@dataclass(frozen=True)
class File:
    """A file of an archive, written down.

    Attributes:
        path: Where it is now.
        size: Bytes.
        digest: "sha256:..." of what it really holds.
    """

    path: Path
    size: int
    digest: str

    def compression(self) -> str:
        """Return how it is compressed, by its first block."""
        with self.path.open("rb") as file:
            return compression(file.read(512))


@dataclass
class Archive:
    """Files and links by name."""

    files: dict[str, File] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, file: File) -> None:
        """Note a file.

        Raises:
            InvalidArchive: There is one of this name with other content, so that readers would disagree.
        """
        known = self.files.get(name)
        if known is not None or name in self.links:
            if known is None or known.digest != file.digest:
                bad("it is there twice, with different content", name)
            file.path.unlink()
            return
        self.files[name] = file

    def link(self, name: str, target: str) -> None:
        """Note a link.

        Raises:
            InvalidArchive: Something else has this name.
        """
        if name in self.files or self.links.get(name, target) != target:
            bad("it is there twice, with different content", name)
        self.links[name] = target

    def find(self, name: str) -> File | None:
        """Return a file by its name or that of a link to it."""
        for _ in range(_HOPS):
            if name in self.files:
                return self.files[name]
            if name not in self.links:
                return None
            name = self.links[name]
        return bad("its links lead in a circle", name)

    def need(self, name: str, wanted_by: str) -> File:
        """Return a file.

        Raises:
            InvalidArchive: There is none.
        """
        file = self.find(name)
        if file is None:
            bad(f"it is missing, but {wanted_by} names it", name)
        return file

    def read(self, name: str, file: File, limit: int, setting: str) -> bytes:
        """Return the bytes of a small file.

        Raises:
            LimitExceeded: It is too large; names the setting that says so.
        """
        if file.size > limit:
            raise LimitExceeded(
                f"{name} in the archive has {file.size} bytes",
                what="entry",
                which=name,
                do=f"raise image.{setting}, which is {limit}",
            )
        return file.path.read_bytes()


def bad(why: str, entry: str) -> NoReturn:
    """Refuse an archive because of one of its entries."""
    raise InvalidArchive(
        f"the entry {entry!r} of the archive is wrong: {why}",
        what="entry",
        which=entry,
        do="make the archive again",
    )
