"""Layers on each other as overlayfs puts them, and names followed as by a process whose root the stack is.

path_resolution(7): ".." of the root is the root, absolute links start at the root of the stack. Nothing outside of the
layers is ever looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scow.contract.errors import FileNotFound, InvalidArgument
from scow.image.stacks.layer import Inode, LayerFiles

_LINKS_MAX = 40
_PATH_MAX = 4096
_EMPTY_ROOT = Inode(0o040755, 0, 0, 0, 0, 1, 2, None)


@dataclass(slots=True, frozen=True)
class Node:
    """A file of a stack.

    Attributes:
        inode: Of the topmost layer that has it.
        layers: Of a directory, the layers that show something in it with its inode in each, the topmost first.
        parent: The directory that it is in; None for the root.
        name: In that.
    """

    inode: Inode
    layers: tuple[tuple[int, Inode], ...]
    parent: Node | None
    name: bytes

    @property
    def path(self) -> bytes:
        """The absolute path."""
        names = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return b"/" + b"/".join(reversed(names))

    def ancestors(self) -> list[Node]:
        """Return the directories that lead here, the topmost first, without the root."""
        found = []
        node = self.parent
        while node is not None and node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]


class Merged:
    """A stack.

    Args:
        layers: The files of its layers, the lowest first.
    """

    def __init__(self, layers: Sequence[LayerFiles]) -> None:
        self._layers = layers
        roots = [(number, files.root()) for number, files in enumerate(layers)][::-1]
        shown = _until_opaque(roots)
        self.root = Node(shown[0][1] if shown else _EMPTY_ROOT, shown, None, b"")

    def child(self, directory: Node, name: bytes) -> Node | None:
        """Return what has a name in a directory; links are not followed."""
        found: list[tuple[int, Inode]] = []
        for number, above in directory.layers:
            inode = self._layers[number].child(above, name)
            if inode is not None:
                found.append((number, inode))
                if not inode.is_directory or inode.is_opaque:
                    break
        return _merged(directory, name, found)

    def children(self, directory: Node) -> list[Node]:
        """Return what is in a directory, by name."""
        found: dict[bytes, list[tuple[int, Inode]]] = {}
        for number, above in directory.layers:
            for name, inode in self._layers[number].children(above):
                found.setdefault(name, []).append((number, inode))
        nodes = (_merged(directory, name, found[name]) for name in sorted(found))
        return [node for node in nodes if node is not None]

    def find(self, path: bytes, *, follow: bool = True) -> tuple[Node, list[bytes]]:
        """Follow a path, its last component too unless `follow` is false.

        Returns:
            How far it leads, and the names that are missing after that. With missing names it is a directory, or a
            file on the way.

        Raises:
            InvalidArgument: It is too long, or leads through more links than the kernel follows.
        """
        if len(path) > _PATH_MAX:
            raise _unusable(path, "is too long")
        node = self.root
        ahead = path.split(b"/")[::-1]
        links = 0
        while ahead:
            name = ahead.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                node = node.parent or node
                continue
            child = self.child(node, name) if node.inode.is_directory else None
            if child is None:
                rest = [name, *(part for part in reversed(ahead) if part not in (b"", b"."))]
                return _climbed(node, rest)
            if not child.inode.is_link or not (follow or any(ahead)):
                node = child
                continue
            links += 1
            if links > _LINKS_MAX or len(ahead) > _PATH_MAX:
                raise _unusable(path, "leads through too many links")
            if child.inode.link.startswith(b"/"):
                node = self.root
            ahead += child.inode.link.split(b"/")[::-1]
        return node, []

    def get(self, path: bytes) -> Node:
        """Follow a path to something that is there.

        Raises:
            FileNotFound: There is nothing.
            InvalidArgument: As for `find`.
        """
        node, missing = self.find(path)
        if missing:
            text = path.decode(errors="replace")
            raise FileNotFound(
                f"there is no {text}", what="file", which=text, do="name a file that is there"
            )
        return node

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Return bytes of a regular file."""
        number, inode = node.layers[0]
        return self._layers[number].read(inode, offset, size)

    def walk(self, top: Node) -> Iterator[Node]:
        """Give a file, and all below it: directories before what is in them, names in the order of their bytes."""
        ahead = [top]
        while ahead:
            node = ahead.pop()
            yield node
            if node.inode.is_directory:
                ahead += reversed(self.children(node))


def _until_opaque(found: Sequence[tuple[int, Inode]]) -> tuple[tuple[int, Inode], ...]:
    """Return the layers that show something in a directory."""
    shown = []
    for number, inode in found:
        if not inode.is_directory:
            break
        shown.append((number, inode))
        if inode.is_opaque:
            break
    return tuple(shown)


def _merged(parent: Node, name: bytes, found: Sequence[tuple[int, Inode]]) -> Node | None:
    if not found or found[0][1].is_whiteout:
        return None
    if not found[0][1].is_directory:
        return Node(found[0][1], (found[0],), parent, name)
    shown = _until_opaque(found)
    return Node(shown[0][1], shown, parent, name)


def _climbed(node: Node, names: list[bytes]) -> tuple[Node, list[bytes]]:
    """Apply ".." among names that are missing."""
    missing: list[bytes] = []
    for name in names:
        if name != b"..":
            missing.append(name)
        elif missing:
            missing.pop()
        else:
            node = node.parent or node
    return node, missing


def _unusable(path: bytes, why: str) -> InvalidArgument:
    text = path[:200].decode(errors="replace")
    return InvalidArgument(f"the path {text} {why}", what="path", which=text, do="use another path")
