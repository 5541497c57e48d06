"""`stats`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.container.v1.stats_pb2 import ContainerStats
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
_HEADERS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
# The top left corner; the rest of the line, and of the screen.
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def _stats(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    listing = Listing(options.format, _COLUMNS, _HEADERS)
    containers = context.client.containers
    if options.no_stream:
        found = containers.stats(*options.args, all=options.all)
        listing.print([_row(each, full=options.no_trunc) for each in found], context)
        return 0
    with containers.stats_stream(*options.args, all=options.all) as messages:
        for message in messages:
            rows = [_row(each, full=options.no_trunc) for each in message.containers]
            if sys.stdout.isatty():
                _draw(listing.lines(rows))
            else:
                listing.print(rows, context)
                sys.stdout.flush()
    return 0


def _draw(lines: list[str]) -> None:
    """Write lines in place of those that the terminal shows."""
    from scow.cli.io.terminal_text import control

    control(sys.stdout, _HOME)
    for line in lines:
        sys.stdout.write(line)
        control(sys.stdout, f"{_END_OF_LINE}\n")
    control(sys.stdout, _BELOW)
    sys.stdout.flush()


def _row(stats: ContainerStats, *, full: bool) -> Row:
    from scow.cli.output.table import short_id
    from scow.words.template import Row
    from scow.words.units import binary_size, human_size

    received = sum(each.received_bytes for each in stats.interfaces)
    sent = sum(each.sent_bytes for each in stats.interfaces)
    return Row(
        {
            "Container": stats.id if full else short_id(stats.id),
            "ID": stats.id if full else short_id(stats.id),
            "Name": stats.name,
            "CPUPerc": f"{stats.cpu_percent:.2f}%",
            "MemUsage": f"{binary_size(stats.memory_usage)} / {binary_size(stats.memory_limit)}",
            "MemPerc": f"{stats.memory_percent:.2f}%",
            "NetIO": f"{human_size(received, 3)} / {human_size(sent, 3)}",
            "BlockIO": f"{human_size(stats.block_read, 3)} / {human_size(stats.block_write, 3)}",
            "PIDs": str(stats.pids),
        }
    )


VERBS = (
    Verb(
        "stats",
        "[OPTIONS] [CONTAINER...]",
        "Display a live stream of container(s) resource usage statistics",
        _stats,
        flags=(
            Flag("all", "a", help="Show all containers (default shows just running)"),
            FORMAT,
            Flag("no-stream", help="Disable streaming stats and only pull the first result"),
            NO_TRUNC,
        ),
    ),
)
