"""Files of a tree written to a folder, so that a container can mount them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scow.build.context.files import Entry, FileTree
from scow.core.disk import writing

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


async def extract(tree: FileTree, path: bytes, folder: str) -> str:
    """Write what is at and below a path into a new folder; return where it is.

    A file of the path becomes `folder/NAME`, a directory the folder itself. The folder belongs to nobody else, and all
    that is in it comes from the tree, whose paths go through directories of the tree alone.

    Raises:
        FileNotFound: There is nothing.
        DiskFull: No space is left.
    """
    top = tree.resolve(path)
    with writing(Path(folder).parent):
        os.mkdir(folder, 0o755)
        if not top.is_directory:
            name = top.path.rpartition(b"/")[2]
            await _write(tree, [(name, top)], folder)
            return os.path.join(folder, os.fsdecode(name))
        cut = len(top.path) + 1 if top.path else 0
        await _write(tree, [(entry.path[cut:], entry) for entry in tree.walk(top.path)], folder)
        if top.path:
            os.chown(folder, top.uid, top.gid)
            os.chmod(folder, stat.S_IMODE(top.mode))
    return folder


async def _write(tree: FileTree, entries: Sequence[tuple[bytes, Entry]], folder: str) -> None:
    root = os.fsencode(folder)
    files = []
    for name, entry in entries:
        path = os.path.join(root, name)
        if entry.is_directory:
            os.mkdir(path, 0o700)
        elif entry.is_link:
            os.symlink(entry.link, path)
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        elif entry.is_file:
            os.close(os.open(path, _CREATE, 0o600))
            if entry.size:
                files.append((path, replace(entry, hard_link=b"")))
        elif stat.S_ISFIFO(entry.mode):
            os.mkfifo(path)
    await _contents(tree, files)
    for name, entry in reversed(entries):
        if entry.is_directory or entry.is_file:
            _describe(os.path.join(root, name), entry)


async def _contents(tree: FileTree, files: Sequence[tuple[bytes, Entry]]) -> None:
    current, descriptor = -1, -1
    try:
        async for number, data in tree.contents.read([entry for _, entry in files]):
            if number != current:
                if descriptor >= 0:
                    os.close(descriptor)
                descriptor = os.open(files[number][0], os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                current = number
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _describe(path: bytes, entry: Entry) -> None:
    os.chown(path, entry.uid, entry.gid)
    os.chmod(path, stat.S_IMODE(entry.mode))
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
