"""`python -m scow.network`: the network service."""

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.core.server import main
from scow.network.store import MIGRATIONS
from scow.network.wiring import wire

if __name__ == "__main__":
    main("network", MIGRATIONS, wire)
