"""`scowd [--config F] [--root DIR] [--run DIR] [--instance NAME]`."""

from __future__ import annotations

import sys

import scow.core.lean  # noqa: F401  before what loads structlog
from scow.contract.errors import ScowError
from scow.core.server import load_config
from scow.scowd.supervisor import Supervisor


def main() -> None:
    """Run the engine until SIGTERM or SIGINT; containers run on."""
    arguments = sys.argv[1:]
    try:
        config = load_config("scowd", arguments)
        sys.exit(Supervisor(config, arguments).run())
    except ScowError as error:
        print(f"scowd: {error}", file=sys.stderr)  # noqa: T201  the supervisor has no logs
        sys.exit(1)


if __name__ == "__main__":
    main()
