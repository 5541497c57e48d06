"""`builds ls`, `logs`, `inspect`, `rm`, `stop`: builds that ran, and those that run."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Refused, Verb
from scow.cli.output.table import FILTER, FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.api.build.v1 import build_pb2 as pb
    from scow.cli.context import Context
    from scow.words.template import Row

_STATUSES = {1: "Running", 2: "Completed", 3: "Error", 4: "Canceled"}
_COLUMNS = (
    r"{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}\t{{.Steps}}\t{{.Cached}}"
)
_HEADERS = {
    "ID": "BUILD ID",
    "Name": "NAME",
    "Status": "STATUS",
    "CreatedAt": "CREATED AT",
    "Duration": "DURATION",
    "Steps": "STEPS",
    "Cached": "CACHED",
}


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of

    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.ID}}" if options.quiet else "")
    builds = context.client.builds.list(filters=filters_of(options))
    listing.print([_row(build, options.no_trunc) for build in builds], context)
    return 0


def _row(build: pb.BuildRecord, whole: bool) -> Row:
    import time

    from scow.words.template import Row
    from scow.words.units import human_duration

    created = build.created_at.ToNanoseconds() / 1e9
    ended = (
        build.completed_at.ToNanoseconds() / 1e9 if build.HasField("completed_at") else time.time()
    )
    return Row(
        {
            "ID": build.id if whole else build.id[:12],
            "Name": build.name,
            "Status": _STATUSES.get(build.status, ""),
            "CreatedAt": f"{human_duration(time.time() - created)} ago",
            "Duration": f"{ended - created:.1f}s",
            "Steps": f"{build.completed_steps}/{build.steps}",
            "Cached": str(build.cached_steps),
        }
    )


def _logs(options: Options, context: Context) -> int:
    from scow.cli.output.build_progress import make_view

    build = options.args[0] if options.args else ""
    view = make_view(sys.stderr, options.progress)
    with context.client.builds.events(build, follow=True) as events:

        def each() -> Iterator[pb.BuildEvent]:
            for response in events:
                yield response.event

        view.follow(each())
    return 0


def _inspect(options: Options, context: Context) -> int:
    import json

    from google.protobuf.json_format import MessageToDict

    found = context.client.builds.get(options.args[0] if options.args else "")
    value = MessageToDict(found.build, preserving_proto_field_name=True)
    value["steps_detail"] = [
        MessageToDict(vertex, preserving_proto_field_name=True) for vertex in found.vertices
    ]
    context.block(json.dumps(value, indent=4))
    return 0


def _graph(options: Options, context: Context) -> int:
    from scow.cli.io import outfile
    from scow.cli.output.build_graph import svg

    found = context.client.builds.get(options.args[0] if options.args else "")
    data = svg(found.vertices).encode()
    target = outfile.target(options.output)
    if isinstance(target, str):
        with open(target, "wb") as file:
            file.write(data)
    else:
        target.write(data)
    return 0


def _remove(options: Options, context: Context) -> int:
    if not options.args and not options.all:
        raise Refused("name builds, or give --all")
    for build in context.client.builds.remove(options.args, all=options.all):
        context.out(build)
    return 0


def _stop(options: Options, context: Context) -> int:
    def stop(build: str) -> str:
        context.client.builds.stop(build)
        return build

    return context.each(options.args, stop)


VERBS = (
    Verb(
        "builds ls",
        "[OPTIONS]",
        "List builds",
        _list,
        flags=(
            FILTER,
            FORMAT,
            NO_TRUNC,
            Flag("quiet", "q", help="Only display build IDs"),
        ),
        most=0,
    ),
    Verb(
        "builds logs",
        "[OPTIONS] [BUILD]",
        "Show the output of a build, and follow one that runs",
        _logs,
        flags=(
            Flag("progress", kind="string", default="plain", help="Set type of progress output"),
        ),
        most=1,
    ),
    Verb(
        "builds graph",
        "[OPTIONS] [BUILD]",
        "Draw the steps of a build, with times and what came from the cache (SVG)",
        _graph,
        flags=(Flag("output", "o", "string", "Write to a file, instead of STDOUT"),),
        most=1,
    ),
    Verb("builds inspect", "[BUILD]", "Show a build and its steps as JSON", _inspect, most=1),
    Verb(
        "builds rm",
        "[OPTIONS] [BUILD...]",
        "Remove builds from the history",
        _remove,
        flags=(Flag("all", "a", help="Remove all builds that have ended"),),
    ),
    Verb("builds stop", "BUILD [BUILD...]", "Stop running builds", _stop, least=1),
)
