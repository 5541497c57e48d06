"""What several shapes share."""

from __future__ import annotations

from scow.words.template.values import Map, NilList, NilMap, Struct
from scow.words.times import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp


def nanoseconds(message: Message, field: str) -> int:
    """Return the time in a field, as nanoseconds since 1970; 0 when it is not set."""
    if not message.HasField(field):
        return 0
    time: Timestamp = getattr(message, field)
    return time.ToNanoseconds()


def time_of(message: Message, field: str) -> str:
    """Return the time in a field as JSON has it."""
    return moment(nanoseconds(message, field))


def mapping(items: Mapping[str, str]) -> Map:
    """Return Go's map[string]string, never nil."""
    return Map(items)


def mapping_or_nil(items: Mapping[str, str]) -> Map:
    """Return Go's map[string]string, nil when it is empty."""
    return Map(items) if items else NilMap()


def listing_or_nil(items: Iterable[str]) -> list[str]:
    """Return Go's []string, nil when it is empty."""
    return list(items) or NilList()


def set_of(names: Iterable[str]) -> Map:
    """Return Go's map[string]struct{}, with which Docker writes sets; nil when it is empty."""
    found = {name: Struct() for name in names}
    return Map(found, zero=Struct()) if found else NilMap(zero=Struct())
