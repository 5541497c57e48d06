"""COPY and ADD: files of a tree as a layer, without a container.

What of the tree goes where is decided here; names are resolved in the stack by the image service, links and all, and
the layer is a tar made of the files. So nothing that a stranger's image has is ever opened by this process.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scow.api.build.v1 import build_pb2 as pb
from scow.build.context.files import Entry, FileTree, digest_of
from scow.build.frontend.steps import CopyStep
from scow.build.graph import destination, limits, match, owners
from scow.build.graph.destination import Place
from scow.build.graph.keys import Stack, key_of
from scow.build.graph.layer_tar import Item
from scow.build.peers.layers import Layers
from scow.contract.errors import FileNotFound, InvalidArgument
from scow.words.ignore import Ignore

# Directories of one depth that are looked up at once.
_AT_ONCE = 5000


@dataclass(frozen=True)
class Selected:
    """A file that is copied: `name` is its path below the destination; empty is the destination itself."""

    name: bytes
    entry: Entry
    tree: FileTree


@dataclass(frozen=True)
class Selection:
    """What a step copies.

    Attributes:
        files: Directories before what is in them.
        into: Whether the destination is a directory in any case.
    """

    files: tuple[Selected, ...]
    into: bool

    def digest(self) -> str:
        """Return what identifies it in keys."""
        identities = sorted({each.tree.identity for each in self.files})
        return digest_of(((each.name, each.entry) for each in self.files), "\n".join(identities))


def key(step: CopyStep, stack: Stack, selection: Selection, options: pb.BuildOptions) -> str:
    """Return the key of a step."""
    below = () if step.is_linked else stack
    return key_of(
        "copy.1",
        below,
        step.destination,
        step.owner,
        step.mode,
        step.is_linked,
        selection.into,
        selection.digest(),
        *limits.dated(options),
    )


def select(step: CopyStep, tree: FileTree, documents: FileTree) -> Selection:
    """Find what a step copies out of a tree.

    Args:
        step: The step.
        tree: What its paths are in.
        documents: Its here-documents.

    Raises:
        FileNotFound: A source is not there.
        InvalidArgument: A malformed pattern.
    """
    excluded = Excluded(step.exclude)
    files: list[Selected] = []
    named = [path for source in step.paths for path in tops(tree, os.fsencode(source))]
    several = len(step.paths) + len(step.files) > 1 or len(named) > 1
    into = step.destination.endswith("/") or several or step.keeps_parents
    for top in named:
        entry = tree.resolve(top)
        name = _kept_name(step, top)
        if entry.is_directory:
            files += directory(tree, entry, name, excluded)
            into = True
        elif not excluded.matches(top):
            last = top.rpartition(b"/")[2]
            files.append(Selected(name or last, entry, tree))
    for name in documents.names(b""):
        files.append(Selected(name, documents.entries[name], documents))
    return Selection(tuple(files), into)


def tops(tree: FileTree, source: bytes) -> list[bytes]:
    """Return the paths that one source of a step means."""
    clean = b"/".join(part for part in source.split(b"/") if part not in (b"", b"."))
    if not match.is_pattern(clean):
        tree.resolve(clean)
        return [clean]
    found = match.expand(tree, clean)
    if not found:
        text = source.decode(errors="replace")
        raise FileNotFound(
            f'"/{text}": not found', what="file", which=text, do="see what the context has"
        )
    return found


def _kept_name(step: CopyStep, top: bytes) -> bytes:
    """Return the path below the destination with `--parents`; the part before "/./" is left out."""
    if not step.keeps_parents:
        return b""
    for source in step.paths:
        pivot = os.fsencode(source).find(b"/./")
        if pivot >= 0:
            before = b"/".join(p for p in os.fsencode(source)[:pivot].split(b"/") if p)
            count = len(before.split(b"/")) if before else 0
            return b"/".join(top.split(b"/")[count:])
    return top


def directory(tree: FileTree, top: Entry, name: bytes, excluded: Excluded) -> list[Selected]:
    """Return a directory's content, which is what is copied of it."""
    found = [Selected(name, top, tree)]
    cut = len(top.path) + 1 if top.path else 0
    for entry in tree.walk(top.path):
        inside = entry.path[cut:]
        if not excluded.matches(inside):
            found.append(Selected(name + b"/" + inside if name else inside, entry, tree))
    return found


class Excluded:
    """Patterns of `--exclude`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._ignore = Ignore(patterns) if patterns else None

    def matches(self, path: bytes) -> bool:
        """Tell whether a path is left out."""
        return self._ignore is not None and self._ignore.excludes(os.fsdecode(path))


async def items(
    layers: Layers, step: CopyStep, stack: Stack, selection: Selection, now_ns: int
) -> list[Item]:
    """Return the files of a step's layer.

    Raises:
        InvalidArgument: The destination cannot take them.
        UserNotFound: See this class.
    """
    base = () if step.is_linked else stack
    uid, gid = await owners.resolve(layers, stack, step.owner) if step.owner else (0, 0)
    place = await destination.find(layers, base, step.destination)
    into = selection.into or place.is_directory
    if into and place.mode and not place.is_directory:
        raise _not_directory(step.destination)
    found: list[Item] = []
    made: set[bytes] = set()
    # Where files went that may have further names.
    first: dict[bytes, bytes] = {}
    leading = place.whole(uid, gid, now_ns) if into else place.leading(uid, gid, now_ns)
    for item in leading:
        found.append(item)
        made.add(item.path)
    for each in selection.files:
        path = _path(place, each, into=into)
        if each.entry.is_directory and not each.name and (path in made or path == b"/"):
            continue  # what a directory has is copied, not what it is itself
        for parent in _missing_parents(path, made):
            entry = Entry(parent, stat.S_IFDIR | 0o755, uid, gid, mtime_ns=now_ns)
            found.append(Item(parent, entry))
            made.add(parent)
        item = _item(each, path, step, uid, gid)
        item.hard_link = first.get(each.entry.hard_link, b"") if each.entry.hard_link else b""
        if item.hard_link:
            item.contents = None
        first.setdefault(each.entry.path, path)
        found.append(item)
        made.add(path)
    await _check_directories(layers, base, place, found)
    return found


def _path(place: Place, each: Selected, *, into: bool) -> bytes:
    if not into or not each.name:
        return place.path
    return place.path.rstrip(b"/") + b"/" + each.name


def _missing_parents(path: bytes, made: set[bytes]) -> list[bytes]:
    """Return the directories that lead to a path and have no item yet, the topmost first."""
    found = []
    parent = path.rpartition(b"/")[0]
    while parent and parent not in made:
        found.append(parent)
        parent = parent.rpartition(b"/")[0]
    return found[::-1]


def _item(each: Selected, path: bytes, step: CopyStep, uid: int, gid: int) -> Item:
    entry = replace(each.entry, mode=each.entry.mode)
    if step.owner:
        entry.uid, entry.gid = uid, gid
    if step.mode and not entry.is_link:
        entry.mode = owners.changed(entry.mode, step.mode)
    contents = each.tree.contents if entry.is_file and entry.size else None
    return Item(path, entry, contents)


async def _check_directories(
    layers: Layers, base: Stack, place: Place, items: Sequence[Item]
) -> None:
    """Check that no directory takes the place of a file or link of the stack: all behind it would be lost.

    Raises:
        InvalidArgument: One would.
    """
    if not base or not place.is_directory:
        return
    start = place.path.rstrip(b"/") + b"/"
    waiting = {
        item.path for item in items if item.entry.is_directory and item.path.startswith(start)
    }
    depth = start.count(b"/")
    there = {place.path.rstrip(b"/")}
    while waiting:
        level = sorted(
            path
            for path in waiting
            if path.count(b"/") == depth and path.rpartition(b"/")[0] in there
        )
        if not level:
            return
        there = set()
        for begin in range(0, len(level), _AT_ONCE):
            batch = level[begin : begin + _AT_ONCE]
            for path, found in zip(
                batch, await layers.look_up(base, batch, follow=False), strict=True
            ):
                if found.file.mode and not stat.S_ISDIR(found.file.mode):
                    raise _not_directory(path.decode(errors="replace"))
                if found.file.mode:
                    there.add(path)
        waiting -= set(level)
        depth += 1


def _not_directory(path: str) -> InvalidArgument:
    return InvalidArgument(
        f"cannot copy to {path}, which is not a directory",
        what="path",
        which=path,
        do="copy to where it leads, or remove it before",
    )
