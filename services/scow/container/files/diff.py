"""What a container changed in its file system: the image service has it, and looks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from scow.api.container.v1 import files_pb2 as pb
from scow.container.model import states
from scow.container.shared import Shared


class Diffs:
    """Tells what containers changed."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def diff(self, container: str) -> AsyncGenerator[pb.DiffResponse, None]:
        """Give the changes.

        Raises:
            ContainerBusy: It is being made or removed.
            DataLoss: They cannot be read.
        """
        entry = self._shared.containers.find(container)
        if not entry.rootfs.mounts or entry.gone:
            raise states.busy(entry.described)
        async with contextlib.aclosing(self._shared.images.changes(entry.owner)) as messages:
            async for message in messages:
                yield pb.DiffResponse(changes=message.changes)
