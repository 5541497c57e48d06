"""The file system of an image, out of an archive as `docker save` writes it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

# What is compared of a file: its kind, mode, owner and group, target of a link, content, xattrs.
File = tuple[bytes, int, int, int, str, str, tuple[tuple[str, str], ...]]
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


def flattened(archive: bytes) -> tuple[dict[str, File], dict[str, Any]]:
    """Return the files of the image in an archive, by their paths, and its configuration."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (described,) = json.load(_member(tar, "manifest.json"))
        configuration = json.load(_member(tar, described["Config"]))
        files: dict[str, File] = {}
        for layer in described["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(_member(tar, layer).read())) as members:
                _apply(members, files)
    return files, configuration


def _member(tar: tarfile.TarFile, name: str) -> Any:
    found = tar.getmember(name)
    if found.issym():  # some writers have a layer once, and links to it
        found = tar.getmember(found.linkname.removeprefix("../"))
    return tar.extractfile(found)


def _apply(layer: tarfile.TarFile, files: dict[str, File]) -> None:
    members = layer.getmembers()
    for member in members:
        path = member.name.removeprefix("./").strip("/")
        folder, _, name = path.rpartition("/")
        if name == _OPAQUE:
            _remove(files, folder, itself=False)
        elif name.startswith(_WHITEOUT):
            gone = name.removeprefix(_WHITEOUT)
            _remove(files, f"{folder}/{gone}" if folder else gone, itself=True)
    for member in members:
        path = member.name.removeprefix("./").strip("/")
        if path and path != "." and not path.rpartition("/")[2].startswith(_WHITEOUT):
            if not member.isdir():
                _remove(files, path, itself=True)
            files[path] = _file(layer, member)


def _remove(files: dict[str, File], path: str, *, itself: bool) -> None:
    for known in [known for known in files if known.startswith(f"{path}/")]:
        del files[known]
    if itself:
        files.pop(path, None)


def _file(layer: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    content = ""
    kind = tarfile.REGTYPE if member.isreg() or member.islnk() else member.type
    if member.isreg() or member.islnk():
        opened = layer.extractfile(member)
        assert opened is not None
        content = hashlib.sha256(opened.read()).hexdigest()
    target = member
    if member.islnk():
        target = layer.getmember(member.linkname)
    xattrs = tuple(
        sorted(
            (key.removeprefix("SCHILY.xattr."), value)
            for key, value in target.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        )
    )
    link = member.linkname if member.issym() else ""
    return (kind, target.mode & 0o7777, target.uid, target.gid, link, content, xattrs)
