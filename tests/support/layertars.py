"""Layers in both forms side by side: unpacked, and as an index over the tar."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scow.core.archive.read.apply import Applied
from scow.core.archive.read.streams import TarStream
from scow.core.archive.read.tree import Tree
from scow.image.layers.drivers import probe
from scow.image.layers.erofs.collect import Collector
from scow.image.layers.erofs.write import write
from scow.image.layers.unpack.apply import Applier
from scow.kernel import syscalls

Entry = tuple[str, bytes, dict[str, Any]]
# Set only by processes with CAP_SYS_ADMIN, which the ones that unpack do not have.
_ADMIN_XATTRS = ("trusted.", "security.selinux", "security.ima")


def reg(name: str, data: bytes = b"data", **attributes: Any) -> Entry:
    """Return the entry of a file."""
    return name, tarfile.REGTYPE, {"data": data, **attributes}


def tar_of(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar; an entry is a name, a type, and attributes of tarfile.TarInfo besides `data`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, kind, attributes in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            data = attributes.get("data", b"")
            info.size = len(data)
            for key, value in attributes.items():
                if key != "data":
                    setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def pieces(data: bytes, size: int = 70_000) -> Iterator[bytes]:
    """Cut data into the pieces that a stream is made of."""
    return (data[at : at + size] for at in range(0, len(data), size))


def unpack(data: bytes, folder: Path, max_entries: int = 100_000) -> Applied:
    """Unpack a tar into a new folder."""
    folder.mkdir()
    stream = TarStream(pieces(data), 1 << 40)
    tree = Tree(str(folder))
    try:
        applied = Applier(tree, stream, max_entries).run()
        stream.finish()
    finally:
        tree.close()
    return applied


def index(data: bytes, folder: Path, max_entries: int = 100_000) -> Applied:
    """Write a tar and its index into a new folder."""
    folder.mkdir()
    (folder / "layer.tar").write_bytes(data)
    stream = TarStream(pieces(data), 1 << 40)
    collector = Collector(stream, max_entries)
    root = collector.run()
    _, size = stream.finish()
    with (folder / "layer.tar").open("rb") as tar, (folder / "layer.erofs").open("xb") as file:
        write(root, size, file.fileno(), tar.fileno())
    return collector.applied


def erofs_works() -> bool:
    """Tell whether layers can be mounted here, where tests have their folders."""
    with tempfile.TemporaryDirectory() as place:
        return os.geteuid() == 0 and not probe.erofs(Path(place), Path(place))


needs_erofs = pytest.mark.skipif(
    not erofs_works(), reason="the kernel mounts no EROFS on files here"
)


@contextmanager
def mounted(folder: Path) -> Iterator[int]:
    """Mount an index, attached nowhere; give a descriptor of its root."""
    context = syscalls.fsopen("erofs")
    mount = -1
    try:
        for key, name in (("source", "layer.erofs"), ("device", "layer.tar")):
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, str(folder / name))
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        mount = syscalls.fsmount(context, syscalls.MS_RDONLY)
        root = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)
        try:
            yield root
        finally:
            os.close(root)
    finally:
        os.close(context)
        if mount >= 0:
            os.close(mount)


def describe(root: int) -> dict[str, tuple[Any, ...]]:
    """Return what is below a directory by path: all that programs can see, but times that no archive has."""
    found: dict[str, tuple[Any, ...]] = {".": _one(root, ".")}
    first_names: dict[int, str] = {}
    for folder, folders, files, descriptor in os.fwalk(".", dir_fd=root):
        folders.sort()  # hard links are named after the first one: the order must be the same everywhere
        for name in sorted([*folders, *files]):
            path = f"{folder}/{name}"
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            first = path
            if not stat.S_ISDIR(status.st_mode):
                first = first_names.setdefault(status.st_ino, path)
            found[path] = (first, *_one(descriptor, name))
    return found


def _one(folder: int, name: str) -> tuple[Any, ...]:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    path = f"/proc/self/fd/{folder}/{name}"
    content: object = None
    if stat.S_ISREG(status.st_mode):
        content = (status.st_size, _digest(folder, name))
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(name, dir_fd=folder)
    xattrs = {
        key: os.getxattr(path, key, follow_symlinks=False)
        for key in sorted(os.listxattr(path, follow_symlinks=False))
        if not key.startswith(_ADMIN_XATTRS)
    }
    links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
    owner = (status.st_uid, status.st_gid)
    return oct(status.st_mode), owner, status.st_rdev, links, status.st_mtime_ns, xattrs, content


def _digest(folder: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_implied_times(
    one: dict[str, tuple[Any, ...]], other: dict[str, tuple[Any, ...]]
) -> tuple[dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]]]:
    """Return both descriptions without the times of what the index has no time for."""
    for path, facts in other.items():
        if facts[-3] == 0 and path in one:
            one[path] = (*one[path][:-3], 0, *one[path][-2:])
    return one, other
