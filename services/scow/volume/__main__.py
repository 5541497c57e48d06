"""`python -m scow.volume`: the volume service."""

from __future__ import annotations

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.core.server import Context, Wiring, main
from scow.volume.store import MIGRATIONS
from scow.volume.wiring import make


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    return make(context)


if __name__ == "__main__":
    main("volume", MIGRATIONS, wire)
