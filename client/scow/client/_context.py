"""A directory as a build context: its files are listed, and those that the service does not have are read.

What cannot be in a context is left out with a warning (sockets, devices), as is what may not be read only where that is
what the ignore rules say. Links are sent as they are: where they lead counts in the build alone. Names are bytes.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Set
from typing import BinaryIO

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.client._cache_folder import CacheFolder
from scow.client._cache_folder import read as read_cache
from scow.contract.errors import DataLoss, InvalidContext
from scow.words import ignore as ignore_rules
from scow.words.ignore import Ignore

_PIECE = 1 << 20
# Seconds that an SSH agent may take (it may ask its user), and bytes of a message.
_AGENT_SECONDS = 60.0
_AGENT_MAX = 1 << 18
# Bytes of a message, and entries of one.
_MESSAGE = 1 << 20
_ENTRIES = 2000
_FINGERPRINT = struct.Struct("<QQqqq")
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# How often a file is read that changes while it is.
_ATTEMPTS = 3


class ContextDirectory:
    """A directory of this machine.

    Args:
        path: The directory.
        ignore_file: Path of the ignore file; None means the one that the service names.
    """

    def __init__(self, path: str | os.PathLike[str], *, ignore_file: str | None = None) -> None:
        self._path = os.path.abspath(path)
        self._ignore_file = ignore_file
        # Files as they were listed, by number.
        self._listed: list[bytes] = []

    @property
    def identity(self) -> str:
        """What tells this directory from others: the machine, the path and the inode."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise InvalidContext(
                f"the directory {self._path} cannot be read: {error.strerror}",
                what="context",
                which=self._path,
                do="name a directory that is there",
            ) from error
        if not stat.S_ISDIR(status.st_mode):
            raise InvalidContext(
                f"{self._path} is not a directory",
                what="context",
                which=self._path,
                do="name a directory",
            )
        return f"{socket.gethostname()}:{self._path}:{status.st_dev}:{status.st_ino}"

    def listings(self, want: pb.BuildResponse.WantListing) -> Iterator[pb.BuildRequest.Listing]:
        """List the files, directories before what is in them.

        Raises:
            OSError: Something cannot be read.
            InvalidContext: An ignore file that is none.
        """
        self._listed.clear()
        listing = pb.BuildRequest.Listing(context=want.context)
        rules = self._rules(want)
        size = 0
        for path, status, skipped in _walk(self._path, rules):
            if skipped:
                listing.skipped.append(skipped)
                continue
            entry = _entry(self._path, path, status)
            self._listed.append(path)
            listing.entries.append(entry)
            size += len(path) + 64
            if len(listing.entries) >= _ENTRIES or size > _MESSAGE:
                yield listing
                listing, size = pb.BuildRequest.Listing(context=want.context), 0
        listing.last = True
        yield listing

    def _rules(self, want: pb.BuildResponse.WantListing) -> Ignore:
        """Return what is left out; of the ignore files, the first one that is there counts."""
        text = b""
        names = [self._ignore_file] if self._ignore_file else want.ignore_files
        for name in names:
            try:
                with open(os.path.join(self._path, name), "rb") as file:
                    text = file.read(ignore_rules.SIZE_MAX + 1)
                break
            except FileNotFoundError:
                continue
        try:
            return Ignore.parse(text + "".join(f"\n{line}" for line in want.ignore).encode())
        except ignore_rules.InvalidIgnoreError as error:
            raise InvalidContext(
                f"the patterns of what is left out cannot be read: {error}",
                what="file",
                which=".dockerignore",
                do="mend the line",
            ) from None

    def patterns(self) -> list[str]:
        """Return the lines of the ignore file, as far as they can be read; who lists the files tells what is wrong."""
        name = self._ignore_file or ".dockerignore"
        try:
            with open(os.path.join(self._path, name), "rb") as file:
                return file.read(ignore_rules.SIZE_MAX).decode().splitlines()
        except (OSError, UnicodeDecodeError):
            return []

    def contents(self, want: pb.BuildResponse.WantContent) -> Iterator[pb.BuildRequest.Content]:
        """Read files.

        Raises:
            OSError: One cannot be read.
            InvalidContext: One changes all the time.
        """
        message, size = pb.BuildRequest.Content(context=want.context), 0
        for index in want.indexes:
            for piece in self._file(index):
                message.pieces.append(piece)
                size += len(piece.chunk) + 32
                if size >= _MESSAGE:
                    yield message
                    message, size = pb.BuildRequest.Content(context=want.context), 0
        if message.pieces:
            yield message

    def _file(self, index: int) -> Iterator[pb.BuildRequest.Content.Piece]:
        """Give the pieces of a file; one that changes while it is read is an error, unless it is small."""
        path = self._listed[index]
        descriptor = os.open(os.path.join(os.fsencode(self._path), path), _FILE)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _changed(path)
            if status.st_size <= _PIECE:
                yield self._small(descriptor, path, index)
                return
            offset = 0
            while offset < status.st_size:
                data = os.pread(descriptor, min(_PIECE, status.st_size - offset), offset)
                if not data:
                    raise _changed(path)
                offset += len(data)
                yield pb.BuildRequest.Content.Piece(index=index, chunk=data)
            after = os.fstat(descriptor)
            if _fingerprint(after) != _fingerprint(status):
                raise _changed(path)
            entry = _entry(self._path, path, after)
            yield pb.BuildRequest.Content.Piece(index=index, last=True, entry=entry)
        finally:
            os.close(descriptor)

    def _small(self, descriptor: int, path: bytes, index: int) -> pb.BuildRequest.Content.Piece:
        for _ in range(_ATTEMPTS):
            before = os.fstat(descriptor)
            data = os.pread(descriptor, before.st_size + 1, 0)
            after = os.fstat(descriptor)
            if _fingerprint(before) == _fingerprint(after) and len(data) == after.st_size:
                entry = _entry(self._path, path, after)
                return pb.BuildRequest.Content.Piece(
                    index=index, chunk=data, last=True, entry=entry
                )
        raise _changed(path)


class Answers:
    """What a client answers to a build.

    Args:
        directories: By the names of their contexts.
        secrets: By id.
        auth: Gives the credentials for a registry.
        agents: Sockets of SSH agents, by id.
    """

    def __init__(
        self,
        directories: Mapping[str, ContextDirectory],
        secrets: Mapping[str, bytes],
        auth: Callable[[str], Auth | None],
        agents: Mapping[str, str],
    ) -> None:
        self._agents = dict(agents)
        self._connections: dict[int, _AgentConnection] = {}
        self._directories = directories
        self._secrets = secrets
        self._auth = auth
        # Contexts that are sent as they are, by their names.
        self.archives: Mapping[str, BinaryIO] = {}
        # What takes the bytes of outputs, by their numbers.
        self.outputs: Mapping[int, Callable[[bytes], object]] = {}
        # Folders of caches: those that are read, by their numbers, and those that are written, by those of outputs.
        self.caches: Mapping[int, str] = {}
        self.cache_folders: Mapping[int, CacheFolder] = {}
        # Numbers of those that need not be written: the service has told why.
        self.optional: Set[int] = frozenset()
        self._complete: set[int] = set()

    def to(self, response: pb.BuildResponse) -> Iterator[pb.BuildRequest] | None:
        """Return the answers to what the service asks; None when it asks nothing.

        Raises:
            DataLoss: The build has ended, and an output has not.
        """
        kind = response.WhichOneof("message")
        if kind == "output":
            return self._take(response.output)
        needed = (self.outputs.keys() | self.cache_folders) - self.optional
        if kind == "result" and needed - self._complete:
            raise DataLoss("the end of an output has not arrived", what="output", do="build again")
        if kind == "want_listing":
            return self._listing(response.want_listing)
        if kind == "want_content":
            return self._content(response.want_content)
        if kind == "want_archive":
            return self._archive(response.want_archive.context)
        if kind == "want_cache_file":
            return self._cache_file(response.want_cache_file)
        if kind == "want_secret":
            name = response.want_secret.id
            value = self._secrets.get(name)
            secret = pb.BuildRequest.Secret(id=name, value=value or b"", missing=value is None)
            return iter([pb.BuildRequest(secret=secret)])
        if kind == "want_credentials":
            registry = response.want_credentials.registry
            found = pb.BuildRequest.Credentials(registry=registry, auth=self._auth(registry))
            return iter([pb.BuildRequest(credentials=found)])
        if kind == "agent":
            return self._agent(response.agent)
        return None

    def _take(self, output: pb.BuildResponse.OutputChunk) -> Iterator[pb.BuildRequest]:
        """Hand a piece of an output on; there is no answer."""
        folder = self.cache_folders.get(output.output)
        take = folder.write if folder is not None else self.outputs.get(output.output)
        if take is not None and output.chunk:
            take(output.chunk)
        if output.last:
            if folder is not None:
                folder.finish()
            self._complete.add(output.output)
        yield from ()

    def _cache_file(self, want: pb.BuildResponse.WantCacheFile) -> Iterator[pb.BuildRequest]:
        key = f"cache/{want.cache}/{want.path}"
        kind = pb.BuildRequest.CacheFile
        try:
            for chunk in read_cache(self.caches[want.cache], want.path):
                yield pb.BuildRequest(
                    cache_file=kind(cache=want.cache, path=want.path, chunk=chunk)
                )
        except (OSError, KeyError) as error:
            yield _failure(key, error)
            return
        yield pb.BuildRequest(cache_file=kind(cache=want.cache, path=want.path, last=True))

    def _agent(self, asked: pb.BuildResponse.Agent) -> Iterator[pb.BuildRequest]:
        """Hand what a program says to its agent on, and give the answer."""
        number = asked.connection
        if asked.close:
            if number in self._connections:
                self._connections.pop(number).close()
            return
        try:
            if number not in self._connections:
                self._connections[number] = _AgentConnection(self._agents[asked.id])
            for data in self._connections[number].answers(asked.data):
                yield pb.BuildRequest(agent=pb.BuildRequest.Agent(connection=number, data=data))
        except (OSError, KeyError):
            yield pb.BuildRequest(agent=pb.BuildRequest.Agent(connection=number, close=True))

    def _listing(self, want: pb.BuildResponse.WantListing) -> Iterator[pb.BuildRequest]:
        try:
            for listing in self._directories[want.context].listings(want):
                yield pb.BuildRequest(listing=listing)
        except (OSError, InvalidContext) as error:
            yield _failure(f"context/{want.context}", error)

    def _archive(self, context: str) -> Iterator[pb.BuildRequest]:
        try:
            while chunk := self.archives[context].read(_PIECE):
                yield _chunk(context, chunk)
        except OSError as error:
            yield _failure(f"archive/{context}", error)
            return
        yield _chunk(context, b"", last=True)

    def _content(self, want: pb.BuildResponse.WantContent) -> Iterator[pb.BuildRequest]:
        try:
            for content in self._directories[want.context].contents(want):
                yield pb.BuildRequest(content=content)
        except (OSError, InvalidContext) as error:
            yield _failure(f"context/{want.context}", error)


class _AgentConnection:
    """A connection to an SSH agent, which gives one answer for each message (draft-miller-ssh-agent, section 3).

    Args:
        path: The agent's socket.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_AGENT_SECONDS)
        self._socket.connect(path)
        self._asked = b""

    def answers(self, data: bytes) -> Iterator[bytes]:
        """Send what was asked, and give an answer for each whole message.

        Raises:
            OSError: The agent does not answer, or says something else.
        """
        self._asked += data
        while len(self._asked) >= 4:
            end = 4 + int.from_bytes(self._asked[:4], "big")
            if end > _AGENT_MAX:
                raise OSError("a message for an agent is too long")
            if len(self._asked) < end:
                return
            message, self._asked = self._asked[:end], self._asked[end:]
            self._socket.sendall(message)
            head = self._exactly(4)
            size = int.from_bytes(head, "big")
            if size > _AGENT_MAX:
                raise OSError("a message of an agent is too long")
            yield head + self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise OSError("the agent has hung up")
            data += piece
        return data

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _chunk(context: str, chunk: bytes, *, last: bool = False) -> pb.BuildRequest:
    archive = pb.BuildRequest.Archive(context=context, chunk=chunk, last=last)
    return pb.BuildRequest(archive=archive)


def _failure(which: str, error: Exception) -> pb.BuildRequest:
    return pb.BuildRequest(failure=pb.BuildRequest.Failure(which=which, message=str(error)))


_KINDS = {stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def _walk(root: str, ignore: Ignore) -> Iterator[tuple[bytes, os.stat_result, str]]:
    """Give paths below a directory with their status, or why they are left out."""
    top = os.fsencode(root)
    ahead = [(b"", ignore_rules.UNTOUCHED)]
    # Directories that are left out, until something in them is taken.
    held: dict[bytes, os.stat_result] = {}
    while ahead:
        folder, above = ahead.pop()
        inner = []
        with os.scandir(os.path.join(top, folder)) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            path = folder + b"/" + entry.name if folder else entry.name
            status = entry.stat(follow_symlinks=False)
            is_directory = stat.S_ISDIR(status.st_mode)
            name = os.fsdecode(path)
            decided = ignore.decide(name, above)
            if ignore.is_excluded(decided):
                if is_directory and ignore.may_contain(name, decided):
                    held[path] = status
                    inner.append((path, decided))
                continue
            for parent in _held_above(path, held):
                yield parent, held.pop(parent), ""
            kind = _KINDS.get(stat.S_IFMT(status.st_mode))
            yield path, status, f"{name} is left out: it is {kind}" if kind else ""
            if is_directory:
                inner.append((path, decided))
        ahead += reversed(inner)


def _held_above(path: bytes, held: dict[bytes, os.stat_result]) -> list[bytes]:
    found = []
    parent = path.rpartition(b"/")[0] if held else b""
    while parent:
        if parent in held:
            found.append(parent)
        parent = parent.rpartition(b"/")[0]
    return found[::-1]


def _fingerprint(status: os.stat_result) -> bytes:
    return _FINGERPRINT.pack(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _entry(root: str, path: bytes, status: os.stat_result) -> pb.ContextEntry:
    entry = pb.ContextEntry(path=path, mode=status.st_mode, mtime_ns=status.st_mtime_ns)
    if stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.fingerprint = _fingerprint(status)
    elif stat.S_ISLNK(status.st_mode):
        entry.link = os.readlink(os.path.join(os.fsencode(root), path))
    return entry


def _changed(path: bytes) -> InvalidContext:
    name = os.fsdecode(path)
    return InvalidContext(
        f"{name} has changed while it was sent",
        what="file",
        which=name,
        do="build again when nothing writes to it, or leave it out in .dockerignore",
    )
