"""A tar that a build sends, written to a directory of the user's.

What the image has decides about names and links. Every directory is opened from its parent without following links,
and whatever is in the way of a file is removed first: nothing is written outside of the directory.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import BinaryIO

from scow.contract.errors import InvalidArchive

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def extract(source: BinaryIO, folder: str) -> None:
    """Write a tar's files; devices are left out. Owners are kept where the user may set them.

    Args:
        source: The tar, plain.
        folder: The directory, which is made.

    Raises:
        InvalidArchive: A name leads out of it.
        OSError: The kernel refuses something.
    """
    os.makedirs(folder, exist_ok=True)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    times: list[tuple[list[str], tarfile.TarInfo]] = []
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                parts = _parts(member.name)
                if not parts:
                    continue
                _write(root, archive, member, parts)
                if member.isdir():
                    times.append((parts, member))
        for parts, member in reversed(times):
            directory = _directory(root, parts)
            try:
                os.fchmod(directory, member.mode)
                os.utime(directory, (member.mtime, member.mtime))
            finally:
                os.close(directory)
    finally:
        os.close(root)


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidArchive(
            f"the output has the name {name[:200]!r}", what="entry", do="do not trust this image"
        )
    return parts


def _directory(root: int, parts: list[str]) -> int:
    current = os.dup(root)
    for part in parts:
        try:
            inner = os.open(part, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = inner
    return current


def _write(root: int, archive: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str]) -> None:
    parent = _directory(root, parts[:-1])
    name = parts[-1]
    try:
        if member.isdir():
            _make_directory(parent, name)
        elif member.isreg():
            _remove(parent, name)
            _file(parent, name, archive, member)
        elif member.issym():
            _remove(parent, name)
            os.symlink(member.linkname, name, dir_fd=parent)
        elif member.islnk():
            _remove(parent, name)
            _link(root, parent, name, _parts(member.linkname))
        elif member.isfifo():
            _remove(parent, name)
            os.mkfifo(name, member.mode, dir_fd=parent)
        else:
            return
        if os.geteuid() == 0:
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)


def _make_directory(parent: int, name: str) -> None:
    try:
        os.close(os.open(name, _FOLDER, dir_fd=parent))
    except FileNotFoundError:
        os.mkdir(name, 0o700, dir_fd=parent)
    except OSError:
        os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o700, dir_fd=parent)


def _file(parent: int, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    content = archive.extractfile(member)
    assert content is not None
    with os.fdopen(os.open(name, _CREATE, 0o600, dir_fd=parent), "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        if os.geteuid() == 0:
            os.fchown(file.fileno(), member.uid, member.gid)
        os.fchmod(file.fileno(), member.mode)
        os.utime(file.fileno(), (member.mtime, member.mtime))


def _link(root: int, parent: int, name: str, target: list[str]) -> None:
    folder = _directory(root, target[:-1])
    try:
        os.link(target[-1], name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(folder)


def _remove(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=parent)
