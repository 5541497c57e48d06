"""`events`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Refused, Verb
from scow.cli.output.table import FILTER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from scow.cli.context import Context
    from scow.client import EngineEvent
    from scow.words.template import Template

# Filters of Docker whose values are all the same here.
_SAME = {"scope": "local"}
# What Docker has events of, and the engine has not.
_ABSENT = ("config", "node", "service")


def _events(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import parse_layout
    from scow.cli.output.table import filters_of

    template = parse_layout("" if options.format == "json" else options.format)
    filters = {key: list(values) for key, values in filters_of(options).items()}
    for key in _ABSENT:
        filters.pop(key, None)
    for key, value in _SAME.items():
        if value not in filters.pop(key, [value]):
            return 0
    since, cursor = _since(options.since)
    with context.client.events(
        since=since, until=_time(options.until), cursor=cursor, filters=filters
    ) as events:
        for found in events:
            _show(found, template, options.format == "json", context)
            sys.stdout.flush()
    return 0


def _show(found: EngineEvent, template: Template | None, as_json: bool, context: Context) -> None:
    from scow.cli.output.inspect import render
    from scow.words.shapes.event import event_fields, event_line, event_shape
    from scow.words.template import to_json

    if found.event is None:
        context.warn(f"earlier events of the {found.service} service are no longer known")
    elif template is not None:
        context.block(render(template, event_fields(found.event)))
    elif as_json:
        context.out(to_json(event_shape(found.event)))
    else:
        context.out(event_line(found.event))


def _since(text: str) -> tuple[Timestamp | None, str]:
    """Return a time, or the place of a stream, "container:12,image:3"."""
    name, colon, revision = text.partition(":")
    if colon and name.isalpha() and revision[:1].isdigit():
        return None, text
    return _time(text), ""


def _time(text: str) -> Timestamp | None:
    from google.protobuf.timestamp_pb2 import Timestamp

    from scow.words.times import parse_time

    if not text:
        return None
    found = Timestamp()
    try:
        found.FromNanoseconds(parse_time(text))
    except ValueError as error:
        raise Refused(str(error)) from None
    return found


VERBS = (
    Verb(
        "events",
        "[OPTIONS]",
        "Get real time events from the server",
        _events,
        flags=(
            FILTER,
            Flag("format", "", "string", "Format output: 'json', or a Go template"),
            Flag(
                "since",
                "",
                "string",
                "Show all events created since a time, a duration back, or where another stream was",
            ),
            Flag("until", "", "string", "Stream events until this time"),
        ),
        most=0,
    ),
)
