"""`python -m scow.docker`: Docker's HTTP API on the socket docker.sock in the run directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.client import AsyncClient
from scow.contract.errors import ScowError
from scow.core import log
from scow.core.config import Config
from scow.core.server import IDLE, ON_DEMAND, load_config, notify
from scow.docker.server import application
from scow.docker.state import OPENED

# How often in its idle seconds the server looks whether it is idle.
_LOOKS = 4


async def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = application(AsyncClient(f"unix://{config.run.absolute()}"))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=config.server.drain_seconds)
    await runner.setup()
    path = config.socket("docker")
    await _listen(runner, path)
    own = path.stat().st_ino
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    idleness = asyncio.ensure_future(_tell_idleness(config.docker.idle_seconds, app))
    notify("READY=1")
    await stopped.wait()
    idleness.cancel()
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == own:  # another may have the path by now
            path.unlink()
    await runner.cleanup()


async def _listen(runner: web.AppRunner, path: Path) -> None:
    """Listen at a path, in the place of whoever waits there for this server."""
    new = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    old = os.umask(0o117)
    try:
        await web.UnixSite(runner, str(new)).start()
    finally:
        os.umask(old)
    new.rename(path)


async def _tell_idleness(seconds: float, app: web.Application) -> None:
    """Tell the supervisor when nobody has been connected for so long."""
    if not seconds or not os.environ.get(ON_DEMAND):
        return
    while True:
        await asyncio.sleep(seconds / _LOOKS)
        if app[OPENED].idle_seconds() >= seconds:
            notify(IDLE)


def main() -> None:
    """Serve until told to stop. Does not return."""
    try:
        config = load_config("scow-docker", sys.argv[1:])
        log.configure(config.log, "docker")
        asyncio.run(serve(config))
    except ScowError as error:
        print(f"scow-docker: {error}", file=sys.stderr)  # noqa: T201  logs may not be set up
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()
