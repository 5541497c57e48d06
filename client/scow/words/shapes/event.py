"""Events, as `docker events` has them."""

from __future__ import annotations

from scow.words.references import familiar
from scow.words.shapes.common import nanoseconds
from scow.words.template.values import Map, Struct
from scow.words.times import format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.types.v1.types_pb2 import Event


def event_shape(event: Event) -> Struct:
    """Return an event in the shape of Docker's API."""
    time_ns = nanoseconds(event, "time")
    facts = facts_of(event)
    old: dict[str, object] = {}
    if event.object_type in ("container", "image"):
        old = {"status": event.action, "id": event.object_id}
        if event.object_type == "container":
            old["from"] = event.attributes.get("image", "")
    return Struct(
        **old,
        Type=event.object_type,
        Action=event.action,
        Actor=Struct(ID=event.object_id, Attributes=Map(facts)),
        scope="local",
        time=time_ns // 1_000_000_000,
        timeNano=time_ns,
    )


def facts_of(event: Event) -> dict[str, str]:
    """Return an event's attributes; images have the names that people know."""
    facts = dict(event.attributes)
    if event.object_type == "image" and facts.get("name"):
        facts["name"] = familiar(facts["name"])
    return facts


def event_fields(event: Event) -> Struct:
    """Return an event as templates see it: by the names of Go's fields."""
    shape = event_shape(event)
    return Struct(
        Status=shape.get("status", ""),
        ID=shape.get("id", ""),
        From=shape.get("from", ""),
        Type=shape["Type"],
        Action=shape["Action"],
        Actor=shape["Actor"],
        Scope=shape["scope"],
        Time=shape["time"],
        TimeNano=shape["timeNano"],
    )


def event_line(event: Event) -> str:
    """Return an event as a line: time, type, action, id, and the attributes by name."""
    time = format_time(nanoseconds(event, "time")).removesuffix("Z") + "+00:00"
    facts = ", ".join(f"{key}={value}" for key, value in sorted(facts_of(event).items()))
    line = f"{time} {event.object_type} {event.action} {event.object_id}"
    return f"{line} ({facts})" if facts else line
