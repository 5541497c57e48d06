"""Directories of clients: what was sent of them once is kept, so that only changes are sent again.

A context has a folder `contexts/<id>`::

    listing      JSON: the files as they were when they were sent last, each with the place of its content
    N.pack       contents, one after the other

The client lists its directory with what tells whether a file is still the same one (inode, times, size); the service
asks for the contents of those that are not. Files are known by their contents' digests from then on: times decide only
what is sent. Packs are not synced: a listing counts on the machine's boot that it was written in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from scow.api.build.v1 import build_pb2 as pb
from scow.build.context.files import PATH_MAX, Entry, FileTree, ended
from scow.build.context.session import Session
from scow.build.folders import Folders
from scow.contract.errors import InvalidContext, LimitExceeded
from scow.core.disk import writing
from scow.core.tasks import completed

ENTRIES_MAX = 2_000_000
_LISTING = "listing"
_PIECE = 1 << 20
# Below this, hashing takes less than handing it to a thread.
_SMALL = 1 << 16
_ASKED = 50_000
_KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO)
_EMPTY = hashlib.sha256().digest()
# More packs than this, or more bytes that nothing needs than the others, and all is written anew.
_PACKS_MAX = 16


class Packs:
    """The open packs of one state of a context (`files.Contents`)."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}

    def open(self, folder: Path, numbers: set[int]) -> None:
        """Open packs; they may be deleted from then on."""
        for number in numbers - self._open.keys():
            self._open[number] = os.open(folder / f"{number}.pack", os.O_RDONLY | os.O_CLOEXEC)

    async def read(self, entries: Sequence[Entry]) -> AsyncIterator[tuple[int, bytes]]:
        """Give contents; see `files.Contents`."""
        for number, entry in enumerate(entries):
            pack, offset = entry.place
            end = offset + entry.size
            while offset < end:
                size = min(_PIECE, end - offset)
                descriptor = self._open.get(pack)
                if descriptor is None:
                    raise ended()
                if size < _SMALL:
                    data = os.pread(descriptor, size, offset)
                else:
                    data = await asyncio.to_thread(os.pread, descriptor, size, offset)
                    if (
                        pack not in self._open
                    ):  # closed meanwhile: it may have been another file's already
                        raise ended()
                if not data:
                    raise InvalidContext(
                        "a file of the context is lost", what="context", do="build again"
                    )
                yield number, data
                offset += len(data)

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])


class Directories:
    """All contexts that clients send of directories.

    Args:
        base: The service's folder.
    """

    def __init__(self, base: Path) -> None:
        self.folder = base / "contexts"
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self._folders = Folders(self.folder)
        self._locks: dict[str, asyncio.Lock] = {}
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    async def receive(
        self, session: Session, want: pb.BuildResponse.WantListing, identity: str
    ) -> tuple[FileTree, Transfer]:
        """Let a client send a directory; the tree's contents are to be closed.

        Args:
            session: The conversation.
            want: What is asked for.
            identity: The directory, and whose it is.

        Raises:
            InvalidContext: The client cannot send it, or sends something else.
            LimitExceeded: It has too many files.
            DiskFull: No space is left.
        """
        number = hashlib.sha256(identity.encode()).hexdigest()[:32]
        lock = self._locks.setdefault(number, asyncio.Lock())
        async with lock:
            transfer = Transfer(session, want, self.folder / number, self._boot)
            with writing(self.folder):
                return await transfer.run(), transfer

    def is_busy(self, number: str) -> bool:
        """Tell whether a client is sending it."""
        lock = self._locks.get(number)
        return lock is not None and lock.locked()

    async def remove(self, number: str) -> None:
        """Delete a context that is not busy; builds that have its files open keep them."""
        await self._folders.remove(number)

    def numbers(self) -> set[str]:
        """Return the contexts that have a folder."""
        return self._folders.names()


class Transfer:
    """One directory on its way.

    Attributes:
        number: Its folder's name.
        sent: Bytes that were sent.
        size: Bytes that the folder takes.
    """

    def __init__(
        self, session: Session, want: pb.BuildResponse.WantListing, folder: Path, boot: str
    ) -> None:
        self._session = session
        self._want = want
        self._folder = folder
        self._boot = boot
        self._key = f"context/{want.context}"
        self.number = folder.name
        self.sent = 0
        self.size = 0
        self.skipped: list[str] = []

    async def run(self) -> FileTree:
        """Receive it."""
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._session.expect(self._key)
        packs = Packs()
        try:
            known = self._load()
            await self._session.send(pb.BuildResponse(want_listing=self._want))
            sent = await self._listing()
            entries = [self._entry(one, known) for one in sent]
            await self._contents(sent, entries)
            self._save(sent, entries)
            packs.open(self._folder, {e.place[0] for e in entries if e.place[0]})
            self._clean(entries)
        except BaseException:
            packs.close()
            raise
        finally:
            self._session.done(self._key)
        return FileTree(entries, packs)

    def _load(self) -> dict[bytes, list[Any]]:
        """Return what is known of each path: fingerprint, size, digest, pack, offset."""
        try:
            stored = json.loads((self._folder / _LISTING).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        if stored["boot"] != self._boot:
            return {}
        return {os.fsencode(row[0]): row[1:] for row in stored["files"]}

    async def _listing(self) -> list[pb.ContextEntry]:
        found: list[pb.ContextEntry] = []
        while True:
            request = await self._session.receive(self._key)
            found += request.listing.entries
            self.skipped += request.listing.skipped
            if len(found) > ENTRIES_MAX:
                raise LimitExceeded(
                    f"the context has more than {ENTRIES_MAX} files",
                    what="context",
                    which=self._want.context,
                    do="leave out what is not needed, in .dockerignore",
                )
            if request.listing.last:
                return found

    def _entry(self, sent: pb.ContextEntry, known: dict[bytes, list[Any]]) -> Entry:
        _check(sent)
        entry = Entry(sent.path, sent.mode, mtime_ns=sent.mtime_ns, link=sent.link)
        if not entry.is_file:
            return entry
        entry.size = sent.size
        before = known.get(sent.path)
        if not sent.size:
            entry.digest = _EMPTY
        elif before and sent.fingerprint and before[:2] == [sent.fingerprint.hex(), sent.size]:
            entry.digest = bytes.fromhex(before[2])
            entry.place = (before[3], before[4])
        return entry

    async def _contents(self, sent: list[pb.ContextEntry], entries: list[Entry]) -> None:
        """Ask for the contents of the files that are not here, and write them to a new pack."""
        missing = [n for n, entry in enumerate(entries) if entry.is_file and not entry.digest]
        if not missing:
            return
        number = 1 + max(self._packs(), default=0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._folder / f"{number}.pack", flags, 0o600)
        try:
            receiving = _Receiving(descriptor, number, sent, entries)
            for start in range(0, len(missing), _ASKED):
                asked = missing[start : start + _ASKED]
                want = pb.BuildResponse.WantContent(context=self._want.context, indexes=asked)
                await self._session.send(pb.BuildResponse(want_content=want))
                left = set(asked)
                while left:
                    request = await self._session.receive(self._key)
                    left -= await receiving.take(request.content, left)
            receiving.flush()
            self.sent = receiving.offset
        finally:
            os.close(descriptor)

    def _packs(self) -> set[int]:
        names = (path.name for path in self._folder.glob("*.pack"))
        return {int(name.partition(".")[0]) for name in names}

    def _save(self, sent: list[pb.ContextEntry], entries: list[Entry]) -> None:
        rows = [
            (os.fsdecode(e.path), s.fingerprint.hex(), e.size, e.digest.hex(), *e.place)
            for s, e in zip(sent, entries, strict=True)
            if e.is_file
        ]
        temporary = self._folder / f"{_LISTING}.new"
        temporary.write_text(json.dumps({"boot": self._boot, "files": rows}))
        temporary.rename(self._folder / _LISTING)

    def _clean(self, entries: list[Entry]) -> None:
        """Delete packs that nothing needs; forget all where little of them is needed."""
        needed = {entry.place[0] for entry in entries}
        for number in self._packs() - needed:
            (self._folder / f"{number}.pack").unlink(missing_ok=True)
        left = self._packs()
        total = sum((self._folder / f"{number}.pack").stat().st_size for number in left)
        live = sum(entry.size for entry in entries)
        self.size = total
        if len(left) > _PACKS_MAX or total > 2 * live + _PIECE:
            # The next build sends everything again, into one pack.
            (self._folder / _LISTING).unlink(missing_ok=True)


class _Receiving:
    """Writes contents to a pack as they come."""

    def __init__(
        self, descriptor: int, number: int, sent: list[pb.ContextEntry], entries: list[Entry]
    ) -> None:
        self._descriptor = descriptor
        self._number = number
        self._sent = sent
        self._entries = entries
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._current = -1
        self._start = 0
        self.offset = 0

    async def take(self, content: pb.BuildRequest.Content, left: set[int]) -> set[int]:
        """Store pieces; return the numbers of the files that are complete now."""
        done = set()
        for piece in content.pieces:
            if piece.index not in left or piece.index in done:
                raise _not_asked(piece.index)
            if self._current not in (-1, piece.index):
                raise _not_asked(piece.index)
            self._current = piece.index
            await self._add(piece.chunk)
            if piece.last:
                self._complete(piece)
                done.add(piece.index)
        return done

    async def _add(self, data: bytes) -> None:
        self.offset += len(data)
        if len(data) < _SMALL:
            self._hash.update(data)
            self._buffer += data
            if len(self._buffer) >= _PIECE:
                self.flush()
            return
        self.flush()
        # To its end also where this is cancelled: then the descriptor is closed.
        await completed(asyncio.to_thread(self._store, data))

    def _store(self, data: bytes) -> None:
        self._hash.update(data)
        _write_all(self._descriptor, data)

    def flush(self) -> None:
        """Write what is gathered."""
        _write_all(self._descriptor, self._buffer)
        self._buffer.clear()

    def _complete(self, piece: pb.BuildRequest.Content.Piece) -> None:
        entry = self._entries[piece.index]
        if piece.HasField("entry"):
            _check(piece.entry)
            if piece.entry.path != entry.path or not stat.S_ISREG(piece.entry.mode):
                raise _not_asked(piece.index)
            self._sent[piece.index].CopyFrom(piece.entry)
            entry.mode, entry.mtime_ns = piece.entry.mode, piece.entry.mtime_ns
        entry.size = self.offset - self._start
        if entry.size != self._sent[piece.index].size:
            name = entry.path.decode(errors="replace")
            raise InvalidContext(
                f"{name} has changed while it was sent",
                what="file",
                which=name,
                do="build again when nothing writes to it, or leave it out in .dockerignore",
            )
        entry.digest = self._hash.digest()
        entry.place = (self._number, self._start)
        self._hash = hashlib.sha256()
        self._start = self.offset
        self._current = -1


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    with memoryview(data) as view:
        position = 0
        while position < len(view):
            position += os.write(descriptor, view[position:])


def _check(sent: pb.ContextEntry) -> None:
    """Check an entry of a client.

    Raises:
        InvalidContext: It is none that a context can have.
    """
    parts = sent.path.split(b"/")
    wrong = not sent.path or len(sent.path) > PATH_MAX or b"\0" in sent.path
    if wrong or any(part in (b"", b".", b"..") for part in parts):
        raise InvalidContext(
            f"a context has an impossible name {sent.path[:200]!r}", what="context", do="mend it"
        )
    if stat.S_IFMT(sent.mode) not in _KINDS or sent.size < 0 or len(sent.link) > PATH_MAX:
        raise InvalidContext(
            f"a context has an impossible file {sent.path[:200]!r}", what="context", do="mend it"
        )


def _not_asked(index: int) -> InvalidContext:
    return InvalidContext(
        f"the client sent a file that was not asked for, number {index}",
        what="context",
        do="use a client of this version",
    )
