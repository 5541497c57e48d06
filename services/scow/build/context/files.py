"""Trees of files that steps copy from, wherever they come from.

A tree is a listing in memory; contents are read when a layer is written. Paths are bytes relative to the tree's root,
without a slash at the beginning; the root is b"". Links are followed within the tree alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scow.contract.errors import Cancelled, FileNotFound, InvalidContext
from scow.words.ignore import UNTOUCHED, Ignore

_LINKS_MAX = 40
PATH_MAX = 4095


@dataclass(slots=True)
class Entry:
    """A file.

    Attributes:
        mode: Type and permissions.
        link: Target of a symbolic link.
        digest: SHA-256 of a regular file's content; empty where it is not known.
        hard_link: Path of an earlier entry that it is a further name of.
        place: Where the tree finds the content.
    """

    path: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    xattrs: dict[str, bytes] = field(default_factory=dict)
    device: int = 0
    digest: bytes = b""
    hard_link: bytes = b""
    place: tuple[int, int] = (0, 0)

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular one."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic one."""
        return stat.S_ISLNK(self.mode)


class Contents(Protocol):
    """Where the contents of a tree are."""

    def read(self, entries: Sequence[Entry]) -> AsyncIterator[tuple[int, bytes]]:
        """Give the contents of regular files in pieces, with their numbers in `entries`, in that order.

        Raises:
            Cancelled: The build that they belong to has ended; see `ended`.
        """


class DataContents:
    """Contents that are in memory: `place` has the number of each.

    Args:
        data: The contents.
    """

    def __init__(self, data: Sequence[bytes]) -> None:
        self._data = data

    async def read(self, entries: Sequence[Entry]) -> AsyncIterator[tuple[int, bytes]]:
        """Give contents; see `Contents`."""
        for number, entry in enumerate(entries):
            yield number, self._data[entry.place[0]]


class FileTree:
    """A tree.

    Args:
        entries: Directories before what is in them; without the root.
        contents: Where contents are.
        identity: What tells it from other trees, for keys of the cache, where entries have no digests; else empty.
    """

    def __init__(self, entries: Iterable[Entry], contents: Contents, identity: str = "") -> None:
        self.entries: dict[bytes, Entry] = {b"": Entry(b"", stat.S_IFDIR | 0o755)}
        self._names: dict[bytes, list[bytes]] = {b"": []}
        self.contents = contents
        self.identity = identity
        # Where paths lead that were followed elsewhere.
        self.aliases: dict[bytes, bytes] = {}
        for entry in entries:
            parent, _, name = entry.path.rpartition(b"/")
            self.entries[entry.path] = entry
            if parent not in self._names:
                raise InvalidContext(
                    f"a context has {entry.path!r} and not the directory that it is in",
                    what="context",
                    do="send directories before what is in them",
                )
            self._names[parent].append(name)
            if entry.is_directory:
                self._names[entry.path] = []

    def names(self, directory: bytes) -> list[bytes]:
        """Return the names in a directory, sorted."""
        return sorted(self._names.get(directory, ()))

    def resolve(self, path: bytes) -> Entry:
        """Follow a path, its last component too.

        Raises:
            FileNotFound: It leads nowhere.
        """
        found = self.follow(path)
        if found is None:
            text = path.decode(errors="replace")
            raise FileNotFound(
                f'"/{text}": not found', what="file", which=text, do="see what the context has"
            )
        return found

    def follow(self, path: bytes) -> Entry | None:
        """Follow a path, its last component too; None where it leads nowhere."""
        path = self.aliases.get(path, path)
        current: list[bytes] = []
        ahead = path.split(b"/")[::-1]
        links = 0
        while ahead:
            name = ahead.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                current = current[:-1]
                continue
            entry = self.entries.get(b"/".join((*current, name)))
            if entry is None:
                return None
            if not entry.is_link:
                current.append(name)
                continue
            links += 1
            if links > _LINKS_MAX or len(ahead) > PATH_MAX:
                return None
            if entry.link.startswith(b"/"):
                current = []
            ahead += entry.link.split(b"/")[::-1]
        return self.entries.get(b"/".join(current))

    def walk(self, top: bytes) -> list[Entry]:
        """Return all below a directory: directories before what is in them, names sorted."""
        found = []
        ahead = [self._join(top, name) for name in reversed(self.names(top))]
        while ahead:
            path = ahead.pop()
            entry = self.entries[path]
            found.append(entry)
            if entry.is_directory:
                ahead += [self._join(path, name) for name in reversed(self.names(path))]
        return found

    def without(self, rules: Ignore, keep: bytes) -> FileTree:
        """Return the tree without what rules exclude.

        Args:
            rules: The rules.
            keep: A path that stays in any case.
        """
        decided: dict[bytes, int] = {b"": UNTOUCHED}
        kept: dict[bytes, Entry] = {}
        for entry in self.walk(b""):
            parent = entry.path.rpartition(b"/")[0]
            verdict = rules.decide(os.fsdecode(entry.path), decided[parent])
            decided[entry.path] = verdict
            if rules.is_excluded(verdict) and entry.path != keep:
                continue
            while parent and parent not in kept:  # what is taken in again needs its directories
                kept[parent] = self.entries[parent]
                parent = parent.rpartition(b"/")[0]
            kept[entry.path] = entry
        order = sorted(
            kept.values(), key=lambda entry: (bool(entry.hard_link), entry.path.split(b"/"))
        )
        for entry in order:
            if entry.hard_link and entry.hard_link not in kept:
                entry.hard_link = b""
        return FileTree(order, self.contents, self.identity)

    @staticmethod
    def _join(directory: bytes, name: bytes) -> bytes:
        return directory + b"/" + name if directory else name


def ended() -> Cancelled:
    """Return the error of who reads contents that are closed.

    A step that another build shares does so; that one then makes it anew with files of its own (`flights.Flights`).
    """
    return Cancelled("the build that the files belong to has ended", what="build", do="build again")


def tree_of_data(files: Sequence[tuple[bytes, bytes]], mtime_ns: int) -> FileTree:
    """Return a tree of files that are in memory.

    Args:
        files: Names, without a slash, and contents.
        mtime_ns: Their time.
    """
    entries = [
        Entry(
            name,
            stat.S_IFREG | 0o644,
            size=len(data),
            mtime_ns=mtime_ns,
            digest=hashlib.sha256(data).digest(),
            place=(number, 0),
        )
        for number, (name, data) in enumerate(files)
    ]
    return FileTree(entries, DataContents([data for _, data in files]))


def digest_of(entries: Iterable[tuple[bytes, Entry]], identity: str = "") -> str:
    """Return what identifies files in keys of the cache: names, kinds, permissions, owners, contents; never times.

    Args:
        entries: Each with the name that it will have.
        identity: Of the tree, where entries have no digests.
    """
    found = hashlib.sha256(identity.encode())
    for name, entry in entries:
        owner = b"%d:%d" % (entry.uid, entry.gid)
        words = (name, b"%o" % entry.mode, owner, entry.link, entry.digest, entry.hard_link)
        attributes = [
            part for key in sorted(entry.xattrs) for part in (key.encode(), entry.xattrs[key])
        ]
        for word in (*words, b"%d" % entry.device, *attributes):
            found.update(b"%d:" % len(word))
            found.update(word)
    return found.hexdigest()
