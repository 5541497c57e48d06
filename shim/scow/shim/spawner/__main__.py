"""Runs the spawner (see `server`)."""

import sys

# asyncio and hashlib go without OpenSSL, and every shim would carry the megabytes that it takes.
for _name in ("ssl", "_ssl", "_hashlib"):
    sys.modules[_name] = None  # type: ignore[assignment]

from scow.shim.spawner.server import main  # noqa: E402 - after the line above

sys.exit(main())
