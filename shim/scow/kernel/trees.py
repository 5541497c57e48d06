"""Deleting and measuring trees that strangers filled: of any depth and width, and with any modes.

`shutil.rmtree` and `os.walk` need a descriptor or a frame of the interpreter for each level, so that both fail at a
tree of some hundred levels, which any container or layer can make.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator

from scow.kernel import syscalls

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Levels that are gone down; what is deeper is moved up first.
_LEVELS = 64
# Names held in memory at once.
_BATCH = 10_000

Name = str | bytes | os.PathLike[str]


def remove_tree(path: Name, *, dir_fd: int | None = None) -> None:
    """Delete a directory with all in it; what is gone already is fine.

    Killed in between, it can be called again.

    Args:
        path: The directory; not a symlink to one.
        dir_fd: What a relative path starts from.

    Raises:
        OSError: The kernel refused something.
    """
    try:
        root = _open(path, dir_fd)
    except FileNotFoundError:
        return
    try:
        _empty(root, root, 0)
    finally:
        os.close(root)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path, dir_fd=dir_fd)


def statuses(folder: Name) -> Iterator[os.stat_result]:
    """Give the status of all that is below a folder, and of nothing else, whatever changes meanwhile.

    What goes meanwhile, or is deeper than a path reaches, is left out.
    """
    try:
        root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            with contextlib.suppress(OSError), _opened(root, path) as directory:
                for name, status in _statuses_in(directory):
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(f"{path}/{name}")
                    yield status
    finally:
        os.close(root)


@contextlib.contextmanager
def _opened(root: int, path: str) -> Iterator[int]:
    """Open a directory below another one: who writes to the tree may make links of directories at any time."""
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    resolve |= syscalls.RESOLVE_NO_MAGICLINKS
    directory = syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=resolve)
    try:
        yield directory
    finally:
        os.close(directory)


def _statuses_in(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as scan:
        for entry in scan:
            with contextlib.suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _empty(directory: int, root: int, level: int) -> None:
    """Delete what is in a directory, scanning it until nothing is left."""
    while True:
        with os.scandir(directory) as scan:
            entries = list(itertools.islice(scan, _BATCH))
        if not entries:
            return
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                try:
                    _remove(entry, directory, root, level)
                except (
                    PermissionError
                ):  # the directory may not be written to: its owner can change that
                    os.fchmod(directory, 0o700)
                    _remove(entry, directory, root, level)


def _remove(entry: os.DirEntry[str], directory: int, root: int, level: int) -> None:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.name, dir_fd=directory)
        return
    if level >= _LEVELS:
        aside = f"deep-{os.urandom(8).hex()}"
        os.rename(entry.name, aside, src_dir_fd=directory, dst_dir_fd=root)
        return
    inner = _open(entry.name, directory)
    try:
        _empty(inner, root, level + 1)
    finally:
        os.close(inner)
    os.rmdir(entry.name, dir_fd=directory)


def _open(path: Name, dir_fd: int | None) -> int:
    try:
        return os.open(path, _OPEN, dir_fd=dir_fd)
    except PermissionError:
        folder = os.open(path, _OPEN | os.O_PATH, dir_fd=dir_fd)
        try:
            os.chmod(f"/proc/self/fd/{folder}", 0o700)
            return os.open(f"/proc/self/fd/{folder}", _OPEN & ~os.O_NOFOLLOW)
        finally:
            os.close(folder)
