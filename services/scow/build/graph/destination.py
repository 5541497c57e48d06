"""Where files go: paths in a stack, looked up, with the directories that lead there.

A layer has an entry of each directory that leads to its files, since overlayfs takes a directory to be as the topmost
layer says: those of the base as they are, new ones as they shall be.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass

from scow.api.image.v1 import layer_pb2
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.graph.layer_tar import Item, directory, new_directories
from scow.build.peers.layers import Layers
from scow.contract.errors import InvalidArgument


@dataclass(frozen=True)
class Place:
    """A path of a stack, with all links followed.

    Attributes:
        path: Absolute.
        mode: Of what is there; 0 where nothing is.
        parents: The directories that lead there and exist, the topmost first.
    """

    path: bytes
    mode: int
    parents: tuple[layer_pb2.File, ...]
    file: layer_pb2.File

    @property
    def is_directory(self) -> bool:
        """Whether a directory is there."""
        return stat.S_ISDIR(self.mode)

    def leading(self, uid: int, gid: int, now: int) -> list[Item]:
        """Return items of the directories that lead there, without the path itself.

        Args:
            uid: Owner of those that are made.
            gid: Their group.
            now: Their time.
        """
        items = [directory(parent) for parent in self.parents]
        last = self.parents[-1].path if self.parents else b""
        rest = self.path[len(last) :].strip(b"/").split(b"/")[:-1]
        return items + new_directories(_joined(last, rest), uid, gid, now)

    def whole(self, uid: int, gid: int, now: int) -> list[Item]:
        """Return items of the directories that lead there, and of the path itself as one."""
        if self.is_directory:
            if self.path == b"/":
                return []
            return [*self.leading(uid, gid, now), directory(self.file)]
        return [*self.leading(uid, gid, now), *new_directories([self.path], uid, gid, now)]


async def find(layers: Layers, stack: Sequence[Layer], path: str) -> Place:
    """Look a path up.

    Raises:
        InvalidArgument: It leads through a file.
    """
    wanted = path.encode("utf-8", "surrogateescape")
    if not stack:
        clean = b"/" + b"/".join(p for p in wanted.split(b"/") if p not in (b"", b"."))
        file = layer_pb2.File(path=clean, mode=0)
        root = stat.S_IFDIR | 0o755 if clean == b"/" else 0
        return Place(clean, root, (), file)
    found = (await layers.look_up(stack, [wanted]))[0]
    for parent in found.parents:
        if not stat.S_ISDIR(parent.mode):
            text = parent.path.decode(errors="replace")
            raise InvalidArgument(
                f"{path} leads through {text}, which is not a directory",
                what="path",
                which=path,
                do="use another destination",
            )
    return Place(found.file.path, found.file.mode, tuple(found.parents), found.file)


def _joined(start: bytes, names: Sequence[bytes]) -> list[bytes]:
    paths = []
    for name in names:
        start = start + b"/" + name
        paths.append(start)
    return paths
