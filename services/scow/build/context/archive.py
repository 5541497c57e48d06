"""Tars as trees: contexts on standard input or at a URL, and archives that ADD unpacks.

They are strangers': names are made relative and must not lead out, sizes and numbers are bounded, and nothing is
written but contents, one after the other, into a file without a name. Links stay links: who reads the tree follows them
within it. Devices are left out, as no context has them.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from scow.build.context.files import PATH_MAX, Entry, FileTree, ended
from scow.contract.errors import DiskFull, InvalidContext, LimitExceeded
from scow.core.archive.read import faults, headers
from scow.core.archive.read.faults import Fault, corrupt, hostile
from scow.core.archive.read.streams import TarStream, compression, plain
from scow.core.disk import FULL

ENTRIES_MAX = 1_000_000
# Bytes of all names.
_NAMES_MAX = 256 << 20
# Bytes of the plain archive; and it is at most so many times the compressed one, once it is more than is free.
SIZE_MAX = 64 << 30
_RATIO_MAX = 1000
_RATIO_FREE = 1 << 28
_PIECE = 1 << 18
_ZEROS = bytes(_PIECE)
_KINDS = {
    headers.FILE: stat.S_IFREG,
    headers.DIRECTORY: stat.S_IFDIR,
    headers.SYMLINK: stat.S_IFLNK,
    headers.FIFO: stat.S_IFIFO,
}
_DEVICES = (headers.CHAR, headers.BLOCK_DEVICE)


class Source(Protocol):
    """Where an archive is read from."""

    def read(self, size: int = ..., /) -> bytes:
        """Return some bytes, none at the end."""


def is_archive(head: bytes) -> bool:
    """Tell whether a file begins as those do that ADD unpacks: a tar, or something compressed.

    Args:
        head: Its first 512 bytes.
    """
    if compression(head):
        return True
    stream = TarStream(iter((head,)), len(head), hashed=False)
    try:
        return next(headers.entries(stream), None) is not None
    except Fault:
        return False
    finally:
        stream.close()


@dataclass
class FileContents:
    """Contents that are in one file (`files.Contents`): of `place`, the first number is the offset."""

    descriptor: int

    async def read(self, entries: Sequence[Entry]) -> AsyncIterator[tuple[int, bytes]]:
        """Give contents; see `files.Contents`."""
        for number, entry in enumerate(entries):
            offset = entry.place[0]
            end = offset + entry.size
            while offset < end:
                if self.descriptor < 0:
                    raise ended()
                data = os.pread(self.descriptor, min(_PIECE, end - offset), offset)
                if not data:
                    raise InvalidContext(
                        "a file of an archive is lost", what="archive", do="build again"
                    )
                yield number, data
                offset += len(data)

    def close(self) -> None:
        """Let the contents go."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def unpack(source: Source, name: str, folder: str) -> tuple[FileTree, FileContents]:
    """Return the tree of a tar, and its contents, to be closed. It reads and writes: use a thread.

    Args:
        source: The archive, compressed or not.
        name: What it is called in messages.
        folder: Where contents may be kept.

    Raises:
        InvalidContext: It is not a tar, or has a name that leads out of it.
        LimitExceeded: It is too large.
        DiskFull: No space is left.
    """
    contents = FileContents(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        counted = _Counted(source)
        _, pieces = plain(counted)
        proportion = _Proportion(counted)
        stream = TarStream(proportion.checked(pieces), SIZE_MAX, hashed=False)
        try:
            reading = _Reading(stream, contents.descriptor, proportion)
            reading.run()
            stream.finish()
        finally:
            stream.close()
        return FileTree(reading.sorted(), contents), contents
    except Fault as fault:
        contents.close()
        raise _error(fault, name) from None
    except OSError as error:
        contents.close()
        if error.errno not in FULL:
            raise
        raise DiskFull(f"no space is left for {name}", what="archive", do="free some") from error
    except BaseException:
        contents.close()
        raise


def _error(fault: Fault, name: str) -> InvalidContext | LimitExceeded:
    entry = f" ({fault.entry})" if fault.entry else ""
    kind = LimitExceeded if fault.kind == faults.LIMIT else InvalidContext
    do = "make it with tar, plain or compressed"
    if fault.kind == faults.LIMIT:
        do = "leave out what is not needed"
    return kind(f"{name}: {fault.message}{entry}", what="archive", which=name, do=do)


class _Counted:
    def __init__(self, source: Source) -> None:
        self._source = source
        self.count = 0

    def read(self, size: int = _PIECE, /) -> bytes:
        data = self._source.read(size)
        self.count += len(data)
        return data


class _Proportion:
    """Sees to it that what is unpacked is not much more than what it is made of."""

    def __init__(self, packed: _Counted) -> None:
        self._packed = packed
        self._count = 0

    def add(self, count: int) -> None:
        """Count bytes, before they are written."""
        self._count += count
        if self._count > max(_RATIO_FREE, self._packed.count * _RATIO_MAX):
            raise Fault(faults.LIMIT, f"it grows to more than {_RATIO_MAX} times its size")

    def checked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give pieces, and count them."""
        for piece in pieces:
            self.add(len(piece))
            yield piece


class _Reading:
    """Collects the entries of a tar."""

    def __init__(self, stream: TarStream, descriptor: int, proportion: _Proportion) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._proportion = proportion
        self._entries: dict[bytes, Entry] = {}
        # What is in each directory.
        self._inside: dict[bytes, set[bytes]] = {}
        self._names = 0
        self._offset = 0

    def run(self) -> None:
        """Read all entries; a later one takes the place of an earlier one of the same name."""
        for number, described in enumerate(headers.entries(self._stream)):
            if number >= ENTRIES_MAX:
                raise Fault(faults.LIMIT, f"the archive has more than {ENTRIES_MAX} entries")
            try:
                self._add(described)
            except Fault as fault:
                raise fault.about(described.name) from None

    def _add(self, described: headers.Entry) -> None:
        path = _path(described.name)
        entry = self._entry(described, path) if path else None
        if entry is None:
            self._stream.skip(described.size)
            return
        before = self._entries.get(path)
        if before is not None and before.is_directory and not entry.is_directory:
            self._forget(path)
        self._parents(path)
        self._put(path, entry)

    def _put(self, path: bytes, entry: Entry) -> None:
        if path not in self._entries:
            self._names += len(path)
            if len(self._entries) >= ENTRIES_MAX:
                raise Fault(faults.LIMIT, f"the archive has more than {ENTRIES_MAX} entries")
            if self._names > _NAMES_MAX:
                raise Fault(faults.LIMIT, f"the archive has more than {_NAMES_MAX} bytes of names")
            self._inside.setdefault(path.rpartition(b"/")[0], set()).add(path)
        self._entries[path] = entry

    def sorted(self) -> list[Entry]:
        """Return all, directories before what is in them; further names of files after the first ones."""
        order = sorted(self._entries.values(), key=lambda entry: entry.path.split(b"/"))
        first = [entry for entry in order if not entry.hard_link]
        names = {entry.path for entry in first}
        return first + [_further(entry, names) for entry in order if entry.hard_link]

    def _entry(self, described: headers.Entry, path: bytes) -> Entry | None:
        if described.kind == headers.LINK:
            return self._hard_link(described, path)
        if described.kind in _DEVICES:
            return None
        entry = Entry(
            path,
            _KINDS[described.kind] | described.mode,
            described.uid,
            described.gid,
            mtime_ns=described.mtime_ns,
            link=described.link if described.kind == headers.SYMLINK else b"",
            xattrs={k: v for k, v in described.xattrs.items() if not k.startswith("user.overlay.")},
        )
        if len(entry.link) > PATH_MAX:
            raise hostile("the target of a link is too long", path)
        if entry.is_file:
            self._store(described, entry)
        return entry

    def _hard_link(self, described: headers.Entry, path: bytes) -> Entry | None:
        target = self._entries.get(_path(described.link))
        if target is None or target.is_directory:
            raise corrupt("a hard link leads to what is not in the archive")
        if target.path == path:
            return None
        entry = Entry(path, target.mode, target.uid, target.gid, target.size, target.mtime_ns)
        entry.link, entry.digest, entry.place = target.link, target.digest, target.place
        entry.xattrs = dict(target.xattrs)
        if target.is_file:
            entry.hard_link = target.hard_link or target.path
        return entry

    def _store(self, described: headers.Entry, entry: Entry) -> None:
        hashed = hashlib.sha256()
        entry.place = (self._offset, 0)
        if described.sparse is None:
            extents = [(0, described.size)]
            entry.size = described.size
        else:
            extents = described.sparse
            entry.size = described.real_size
        at = 0
        for offset, length in extents:
            at = self._zeros(hashed, at, offset)
            for part in self._stream.parts(length):
                hashed.update(part)
                self._write(part)
            at += length
        self._zeros(hashed, at, entry.size)
        entry.digest = hashed.digest()

    def _zeros(self, hashed: hashlib._Hash, begin: int, end: int) -> int:
        """Write what a sparse file leaves out; like all else it counts."""
        if self._offset + end - begin > SIZE_MAX:
            raise Fault(faults.LIMIT, f"the archive is larger than {SIZE_MAX} bytes")
        self._proportion.add(end - begin)
        while begin < end:
            piece = _ZEROS[: end - begin]
            hashed.update(piece)
            self._write(memoryview(piece))
            begin += len(piece)
        return begin

    def _write(self, part: memoryview) -> None:
        self._offset += len(part)
        while part:
            part = part[os.write(self._descriptor, part) :]

    def _parents(self, path: bytes) -> None:
        """Make the directories of a path that the tar does not have."""
        missing = []
        parent = path.rpartition(b"/")[0]
        while parent and (known := self._entries.get(parent)) is None:
            missing.append(parent)
            parent = parent.rpartition(b"/")[0]
        if parent and known is not None and not known.is_directory:
            raise hostile("it is below something that is not a directory", path)
        for parent in reversed(missing):
            self._put(parent, Entry(parent, stat.S_IFDIR | 0o755))

    def _forget(self, directory: bytes) -> None:
        ahead = [directory]
        while ahead:
            for path in self._inside.pop(ahead.pop(), ()):
                del self._entries[path]
                self._names -= len(path)
                ahead.append(path)


def _path(name: bytes) -> bytes:
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    path = b"/".join(parts)
    if b".." in parts or len(path) > PATH_MAX:
        raise hostile("a name leads out of the archive, or is too long", name)
    return path


def _further(entry: Entry, names: set[bytes]) -> Entry:
    """Return a further name of a file; the first one may have become something else since."""
    if entry.hard_link not in names:
        entry.hard_link = b""
    return entry
