"""Local files as a tar, for a container, and a tar of a container as local files.

What the container has decides about names and links of its tar. Every directory is opened from its parent without
following links, and nothing is written outside of the directory that was named.
"""

from __future__ import annotations

import os
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Self

from scow.contract.errors import InvalidArchive

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20
# What tarfile reads at once: the rest of it is copied with each header.
_STREAM = 16 << 10
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_CAPABILITY = "security.capability"
_HEADER = "SCHILY.xattr."


class Archive:
    """The tar of a local file, or of a directory with all that is in it, as a file to be read.

    Args:
        path: Of the file.
        name: What it is called in the tar.
    """

    def __init__(self, path: str, name: str) -> None:
        self._pieces = _pieces(path, name)
        self._rest = b""

    def read(self, size: int = _PIECE) -> bytes:
        """Return about `size` bytes; none at the end.

        Raises:
            OSError: A file cannot be read.
        """
        buffer = bytearray(self._rest)
        while len(buffer) < size and (piece := next(self._pieces, b"")):
            buffer += piece
        self._rest = bytes(buffer[size:])
        return bytes(buffer[:size])


def _pieces(path: str, name: str) -> Iterator[bytes]:
    links: dict[tuple[int, int], str] = {}
    ahead = [(path, name)]
    while ahead:
        file, title = ahead.pop()
        try:
            status = os.lstat(file)
        except FileNotFoundError:
            if file == path:
                raise
            continue  # it went meanwhile
        yield from _entry(file, title, status, links)
        if stat.S_ISDIR(status.st_mode):
            names = sorted(os.listdir(file), reverse=True)
            ahead += [(f"{file}/{each}", f"{title}/{each}") for each in names]
    yield _END


def _entry(
    path: str, name: str, status: os.stat_result, links: dict[tuple[int, int], str]
) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    member.mtime = int(status.st_mtime)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        member.type = tarfile.DIRTYPE
    elif kind == stat.S_IFLNK:
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif status.st_nlink > 1 and (first := links.get((status.st_dev, status.st_ino))) is not None:
        member.type, member.linkname = tarfile.LNKTYPE, first
    elif kind == stat.S_IFREG:
        links[status.st_dev, status.st_ino] = name
        yield from _file(path, member)
        return
    elif kind == stat.S_IFIFO:
        member.type = tarfile.FIFOTYPE
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        member.type = tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE
        member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:  # a socket means nothing in a copy
        return
    yield _header(member)


def _file(path: str, member: tarfile.TarInfo) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        member.size = status.st_size
        if status.st_mode & 0o111 and hasattr(os, "getxattr"):
            try:
                value = os.getxattr(file.fileno(), _CAPABILITY)
                text = value.decode("utf-8", "surrogateescape")
                member.pax_headers = {_HEADER + _CAPABILITY: text}
            except OSError:  # it has none, or the file system knows none
                member.pax_headers = {}
        yield _header(member)
        left = member.size
        while left:
            piece = file.read(min(_PIECE, left)) or bytes(min(_PIECE, left))  # it was cut: zeros
            yield piece
            left -= len(piece)
    yield bytes(-member.size % _BLOCK)


def _header(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def extract(
    source: BinaryIO,
    folder: str,
    rename: Callable[[str], str] = lambda name: name,
    *,
    owners: bool = False,
) -> int:
    """Write a tar's files into a directory that is there. Devices and sockets are left out.

    What has the name of an entry is replaced, but a directory by nothing, and by nothing but a directory.

    Args:
        source: The tar, plain.
        folder: The directory.
        rename: Tells what an entry is called there.
        owners: Keep the owners that the tar tells.

    Returns:
        How many devices were left out.

    Raises:
        InvalidArchive: A name leads out of the directory, or is taken by something of another kind.
        OSError: The kernel refuses something.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        writer = _Writer(root, rename, owners)
        try:
            with tarfile.open(fileobj=source, mode="r|", bufsize=_STREAM, errorlevel=2) as archive:
                for member in archive:
                    writer.write(archive, member)
            writer.finish()
        finally:
            writer.close()
        return writer.devices
    finally:
        os.close(root)


class _Writer:
    def __init__(self, root: int, rename: Callable[[str], str], owners: bool) -> None:
        self._root = root
        self._rename = rename
        self._owners = owners
        self._directories: list[tuple[list[str], tarfile.TarInfo]] = []
        # The latest directory: entries come directory by directory.
        self._parent, self._parts = os.dup(root), [""]
        self.devices = 0

    def finish(self) -> None:
        """Give directories their modes and times, now that nothing is written into them any more."""
        for parts, member in reversed(self._directories):
            directory = self._open(parts)
            try:
                self._own(directory, member)
                os.fchmod(directory, member.mode)
                os.utime(directory, (member.mtime, member.mtime))
            finally:
                os.close(directory)

    def close(self) -> None:
        """Close what is open."""
        os.close(self._parent)

    def write(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Write one entry."""
        parts = self._components(member.name)
        if not parts:  # the directory itself, which stays as it is
            return
        parent, name = self._directory(parts[:-1]), parts[-1]
        if member.isdir():
            self._make_directory(parent, name)
            self._directories.append((parts, member))
        elif member.ischr() or member.isblk():
            self.devices += 1
        else:
            self._make_other(archive, member, parent, name)

    def _make_other(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str
    ) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise _taken(member.name, "directory", "non-directory") from None
        if member.isreg():
            self._file(archive, member, parent, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            if self._owners:
                os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        elif member.islnk():
            target = self._components(member.linkname)
            folder = self._open(target[:-1])
            try:
                os.link(
                    target[-1], name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False
                )
            finally:
                os.close(folder)
        elif member.isfifo():
            os.mkfifo(name, member.mode, dir_fd=parent)

    def _file(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str
    ) -> None:
        content = archive.extractfile(member)
        assert content is not None
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            while piece := content.read(_PIECE):
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
            self._own(descriptor, member)
            os.fchmod(descriptor, member.mode)
            capability = member.pax_headers.get(_HEADER + _CAPABILITY)
            if capability and os.geteuid() == 0:
                os.setxattr(descriptor, _CAPABILITY, capability.encode("utf-8", "surrogateescape"))
            os.utime(descriptor, (member.mtime, member.mtime))
        finally:
            os.close(descriptor)

    def _own(self, descriptor: int, member: tarfile.TarInfo) -> None:
        if self._owners:
            os.fchown(descriptor, member.uid, member.gid)

    def _make_directory(self, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                raise _taken(name, "non-directory", "directory") from None

    def _components(self, name: str) -> list[str]:
        parts = [part for part in self._rename(name).split("/") if part not in ("", ".")]
        if ".." in parts:
            raise InvalidArchive(
                f"the copy has the name {name[:200]!r}",
                what="entry",
                which=name[:200],
                do="do not trust this container",
            )
        return parts

    def _directory(self, parts: list[str]) -> int:
        """Return a descriptor of a directory, valid until the next call."""
        if parts != self._parts:
            found = self._open(parts)
            os.close(self._parent)
            self._parent, self._parts = found, parts
        return self._parent

    def _open(self, parts: list[str]) -> int:
        current = os.dup(self._root)
        for part in parts:
            try:
                inner = os.open(part, _FOLDER, dir_fd=current)
            finally:
                os.close(current)
            current = inner
        return current


class Counted:
    """A file that is read, whose bytes are counted.

    Args:
        file: The file.
        tell: Told of each piece's size, or None.
    """

    def __init__(self, file: Archive | BinaryIO, tell: Callable[[int], object] | None) -> None:
        self._file = file
        self._tell = tell

    def read(self, size: int) -> bytes:
        """Return some bytes, none at the end."""
        data = self._file.read(size)
        if self._tell is not None:
            self._tell(len(data))
        return data


class Extraction:
    """A tar that is written to a directory, by a thread, while it arrives.

    Args:
        folder: The directory.
        name: What its entries' first component is called there.
        owners: Keep the owners that the tar tells.

    Attributes:
        file: Takes the tar, within the block.

    Raises:
        InvalidArchive, OSError: When the block ends; as `extract`.
    """

    def __init__(self, folder: str, name: str, *, owners: bool) -> None:
        self._folder = folder
        self._name = name
        self._owners = owners
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        read, write = os.pipe()
        self.file = open(write, "wb", buffering=_PIECE)
        self._thread = threading.Thread(target=self._run, args=(read,), daemon=True)
        self._thread.start()
        return self

    def _run(self, read: int) -> None:
        try:
            with open(read, "rb", buffering=_PIECE) as source:
                extract(source, self._folder, self._renamed, owners=self._owners)
        except BaseException as error:  # noqa: BLE001  raised by the other thread
            self._error = error

    def _renamed(self, name: str) -> str:
        _, slash, rest = name.partition("/")
        return self._name + slash + rest

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        broken = False
        try:
            self.file.close()
        except BrokenPipeError:
            broken = True
        self._thread.join()
        # Why it reads no more is what counts, unless who sends has failed: that the tar is cut short follows from it.
        if self._error is not None and (kind is None or issubclass(kind, BrokenPipeError)):
            if isinstance(self._error, tarfile.TarError):
                raise InvalidArchive(
                    f"the copy cannot be read: {self._error}", what="archive", do="copy again"
                ) from self._error
            raise self._error
        if broken and kind is None:
            raise BrokenPipeError


def _taken(name: str, there: str, wanted: str) -> InvalidArchive:
    return InvalidArchive(
        f'cannot overwrite {there} "{name[:200]}" with {wanted}',
        what="entry",
        which=name[:200],
        do="remove it first",
    )
