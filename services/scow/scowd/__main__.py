"""`scowd [--config F] [--root DIR] [--run DIR] [--instance NAME]`; `scowd --import-daemon-json FILE [--config F]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.contract.errors import ScowError
from scow.core.config import DEFAULT_FILE
from scow.core.server import load_config
from scow.scowd.supervisor import Supervisor

_IMPORT = "--import-daemon-json"


def main() -> None:
    """Run the engine until SIGTERM or SIGINT; containers run on."""
    arguments = sys.argv[1:]
    try:
        if any(argument.startswith(_IMPORT) for argument in arguments):
            _import(arguments)
            return
        config = load_config("scowd", arguments)
        sys.exit(Supervisor(config, arguments).run())
    except ScowError as error:
        print(f"scowd: {error}", file=sys.stderr)  # noqa: T201  the supervisor has no logs
        sys.exit(1)


def _import(arguments: list[str]) -> None:
    """Make the configuration of Docker's, and say what became of each of its keys."""
    from scow.scowd import daemon_json

    parser = argparse.ArgumentParser(prog="scowd")
    parser.add_argument(_IMPORT, type=Path, required=True, help="Docker's daemon.json")
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, help="file to write")
    flags = parser.parse_args(arguments)
    for line in daemon_json.write(flags.import_daemon_json, flags.config):
        print(line)  # noqa: T201  what the command is for
    print(f"written: {flags.config}")  # noqa: T201


if __name__ == "__main__":
    main()
