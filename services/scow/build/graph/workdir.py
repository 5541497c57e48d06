"""WORKDIR: a directory, made where it is missing."""

from __future__ import annotations

from scow.build.frontend.steps import WorkdirStep
from scow.build.graph import destination, owners
from scow.build.graph.keys import Stack, key_of
from scow.build.graph.layer_tar import Item
from scow.build.peers.layers import Layers
from scow.contract.errors import InvalidArgument


def key(step: WorkdirStep, stack: Stack) -> str:
    """Return the key of a step."""
    return key_of("workdir.1", stack, step.path, step.user)


async def items(layers: Layers, step: WorkdirStep, stack: Stack, now_ns: int) -> list[Item]:
    """Return the files of its layer; none where the directory is there.

    Raises:
        InvalidArgument: Something else is there.
        UserNotFound: See this class.
    """
    place = await destination.find(layers, stack, step.path)
    if place.is_directory:
        return []
    if place.mode:
        raise InvalidArgument(
            f"{step.path} is not a directory", what="path", which=step.path, do="use another one"
        )
    uid, gid = await owners.resolve(layers, stack, step.user) if step.user else (0, 0)
    return place.whole(uid, gid, now_ns)
