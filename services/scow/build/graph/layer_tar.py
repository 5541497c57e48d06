"""The tar of a layer, written in pieces as its files come."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from scow.api.image.v1 import layer_pb2
from scow.build.context.files import Contents, Entry
from scow.core.archive import headers

_PIECE = 1 << 20
_KINDS = {
    stat.S_IFREG: headers.FILE,
    stat.S_IFDIR: headers.DIRECTORY,
    stat.S_IFLNK: headers.SYMLINK,
    stat.S_IFCHR: headers.CHAR,
    stat.S_IFBLK: headers.BLOCK_DEVICE,
    stat.S_IFIFO: headers.FIFO,
}


@dataclass(slots=True)
class Item:
    """A file of a layer.

    Attributes:
        path: Absolute.
        entry: What it is like.
        contents: Where its content is; None where it has none.
        data: Its content, where that is here.
        hard_link: Absolute path of an earlier item that it is a further name of.
    """

    path: bytes
    entry: Entry
    contents: Contents | None = None
    data: bytes = b""
    hard_link: bytes = b""


def header(item: Item) -> bytes:
    """Return an item's header."""
    entry, hard_link = item.entry, item.hard_link
    kind = _KINDS[stat.S_IFMT(entry.mode)]
    name = item.path.lstrip(b"/")
    if kind == headers.DIRECTORY:
        name = name + b"/" if name else b"./"
    described = headers.Entry(
        name,
        headers.LINK if hard_link else kind,
        mode=stat.S_IMODE(entry.mode),
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size if kind == headers.FILE and not hard_link else 0,
        mtime_ns=entry.mtime_ns,
        link=hard_link.lstrip(b"/") or entry.link,
        xattrs=entry.xattrs,
    )
    if kind in (headers.CHAR, headers.BLOCK_DEVICE):
        described.major = entry.device >> 8 & 0xFFF
        described.minor = entry.device & 0xFF | entry.device >> 12 & 0xFFF00
    return headers.header(described)


async def write(items: Sequence[Item]) -> AsyncIterator[bytes]:
    """Give the tar of items, directories before what is in them."""
    buffer = bytearray()
    position = 0
    while position < len(items):
        # Runs of items whose contents are in one place are read together.
        group = [items[position]]
        contents = group[0].contents
        while (
            position + len(group) < len(items) and items[position + len(group)].contents is contents
        ):
            group.append(items[position + len(group)])
        position += len(group)
        async for piece in _group(group, contents):
            buffer += piece
            if len(buffer) >= _PIECE:
                yield bytes(buffer)
                buffer.clear()
    buffer += headers.END
    yield bytes(buffer)


async def _group(group: list[Item], contents: Contents | None) -> AsyncIterator[bytes]:
    if contents is None:
        for item in group:
            yield header(item) + headers.padded(item.data)
        return
    files = group_files(group)
    current = -1
    waiting = iter(group)
    async for number, data in contents.read([item.entry for item in files]):
        if number != current:
            if current >= 0:
                yield bytes(-files[current].entry.size % headers.BLOCK)
            for item in waiting:
                yield header(item)
                if item is files[number]:
                    break
            current = number
        yield data
    if current >= 0:
        yield bytes(-files[current].entry.size % headers.BLOCK)
    for item in waiting:
        yield header(item)


def group_files(group: Sequence[Item]) -> list[Item]:
    """Return the items that have contents."""
    return [item for item in group if item.entry.is_file and item.entry.size and not item.hard_link]


def directory(found: layer_pb2.File) -> Item:
    """Return an item that leaves a directory of the base as it is."""
    entry = Entry(
        found.path.lstrip(b"/"),
        found.mode,
        found.uid,
        found.gid,
        mtime_ns=found.mtime_ns,
        xattrs=dict(found.xattrs),
    )
    return Item(found.path, entry)


def new_directories(
    missing: Iterable[bytes], uid: int, gid: int, mtime_ns: int, mode: int = 0o755
) -> list[Item]:
    """Return items of directories that are made."""
    return [
        Item(path, Entry(path, stat.S_IFDIR | mode, uid, gid, mtime_ns=mtime_ns))
        for path in missing
    ]
