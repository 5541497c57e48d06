"""Layers that come from clients, unpacked while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from scow.image.content.blobs import Ingest
from scow.image.layers.store import Layers
from scow.image.workers.pool import Unpacked


async def unpack_streamed(
    layers: Layers, ingest: Ingest, writing: Coroutine[None, None, None]
) -> tuple[int, Unpacked]:
    """Unpack an ingest while it is being written; the first failure of the two ends both.

    Args:
        layers: Who unpacks.
        ingest: What grows.
        writing: Writes it.
    """
    # Who sends may stall for as long as it likes, and others must be able to unpack meanwhile.
    unpacking = asyncio.create_task(layers.unpack(ingest, slot=False))
    feeding = asyncio.create_task(writing)
    try:
        await asyncio.wait([unpacking, feeding], return_when=asyncio.FIRST_COMPLETED)
        if not unpacking.done():
            await feeding
            ingest.finish()
        return await unpacking
    except BaseException as error:
        ingest.fail(error)
        unpacking.cancel()
        await asyncio.wait([unpacking])
        if not unpacking.cancelled() and unpacking.exception() is None:
            await layers.discard(unpacking.result()[0])
        raise
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
