"""The journal of a service: every change of an object, in the transaction of the change.

Revisions grow by one from 1 on. `watch` replays from a revision and then follows; what compaction took is
said by a `Compacted` message, never skipped in silence.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from scow.api.types.v1.types_pb2 import Compacted, Event, Filter
from scow.core import filters as filter_rules
from scow.core import labels as object_labels
from scow.core.actor import current_actor
from scow.core.store import Store
from scow.core.times import now_ns, to_proto

_BATCH = 500
_COMPACT_EVERY = 1000
_NONE: Mapping[str, str] = MappingProxyType({})


class WatchRequest(Protocol):
    """What every service's WatchRequest has."""

    @property
    def from_revision(self) -> int: ...  # noqa: D102
    @property
    def filters(self) -> Sequence[Filter]: ...  # noqa: D102
    @property
    def since(self) -> Timestamp: ...  # noqa: D102
    @property
    def until(self) -> Timestamp: ...  # noqa: D102
    @property
    def positions(self) -> bool: ...  # noqa: D102


Response = TypeVar("Response", covariant=True)


class WatchResponse(Protocol[Response]):
    """The class of a service's WatchResponse."""

    def __call__(
        self,
        *,
        event: Event | None = ...,
        compacted: Compacted | None = ...,
        position: int = ...,
    ) -> Response:
        """Make a response with one of them set."""


class Journal:
    """The journal in a service's database.

    Args:
        store: The service's database.
        actor: Who acts when no caller does, "scow-image".
        keep: How many events at least are kept.
    """

    def __init__(self, store: Store, actor: str, keep: int = 100_000) -> None:
        self._store = store
        self._actor = actor
        self._keep = keep
        self._changed = asyncio.Event()

    def append(
        self,
        tx: sqlite3.Connection,
        object_type: str,
        object_id: str,
        action: str,
        attributes: Mapping[str, str] = _NONE,
        labels: Mapping[str, str] = _NONE,
    ) -> None:
        """Write an event within the transaction of the change that it tells of.

        Args:
            tx: The transaction.
            object_type: "container", "image" ...
            object_id: Its id, or its name where that is what identifies it.
            action: What happened.
            attributes: Facts.
            labels: Of the object. The event repeats short ones alone: it is kept for long, and sent to everybody who
                watches. An attribute of the same name goes first.
        """
        facts = {**object_labels.for_event(labels), **attributes}
        cursor = tx.execute(
            "INSERT INTO journal (time_ns, actor, object_type, object_id, action, attributes) VALUES (?,?,?,?,?,?)",
            (
                now_ns(),
                current_actor.get() or self._actor,
                object_type,
                object_id,
                action,
                json.dumps(facts),
            ),
        )
        revision = cursor.lastrowid or 0
        if revision % _COMPACT_EVERY == 0:
            tx.execute("DELETE FROM journal WHERE revision <= ?", (revision - self._keep,))
        # Watchers wake in a later turn of the loop, after the commit: the block cannot await.
        self._changed.set()
        self._changed = asyncio.Event()

    def revision(self) -> int:
        """Return the newest revision, 0 before the first."""
        row = self._store.one("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
        return int(row["seq"]) if row else 0

    async def watch(
        self, request: WatchRequest, response: WatchResponse[Response]
    ) -> AsyncIterator[Response]:
        """Yield the responses of a Watch RPC until the caller goes away, or until the time that it named."""
        wanted = filter_rules.parse(request.filters, _FILTERS)
        since, until = request.since.ToNanoseconds(), request.until.ToNanoseconds()
        position = request.from_revision or (1 if since else self.revision() + 1)
        if since:
            position = max(position, self._first_since(since))
            if 1 < position == self._oldest():  # there may have been more
                yield response(compacted=Compacted(oldest_revision=position))
        told = 0
        while True:
            changed = self._changed
            oldest = self._oldest()
            if position < oldest:
                yield response(compacted=Compacted(oldest_revision=oldest))
                position = oldest
            rows = self._store.all(
                "SELECT * FROM journal WHERE revision >= ? ORDER BY revision LIMIT ?",
                (position, _BATCH),
            )
            for row in rows:
                if until and row["time_ns"] > until:
                    return
                event = _event(row)
                if row["time_ns"] >= since and _matches(event, wanted):
                    yield response(event=event)
                position = row["revision"] + 1
            if rows:
                continue
            if request.positions and told != position:
                told = position
                yield response(position=position)
            if not await _in_time(changed, until):
                return

    def _first_since(self, time_ns: int) -> int:
        """Return the first revision that is not older than a time."""
        row = self._store.one(
            "SELECT revision FROM journal WHERE time_ns >= ? ORDER BY revision LIMIT 1", (time_ns,)
        )
        return int(row["revision"]) if row else self.revision() + 1

    def _oldest(self) -> int:
        row = self._store.one("SELECT min(revision) AS oldest FROM journal")
        if row is None or row["oldest"] is None:
            return self.revision() + 1
        return int(row["oldest"])


async def _in_time(changed: asyncio.Event, until: int) -> bool:
    """Wait for a change; return False when a time came before it, nanoseconds since 1970, 0 for none."""
    left = (until - now_ns()) / 1e9 if until else None
    if left is not None and left <= 0:
        return False
    try:
        await asyncio.wait_for(changed.wait(), left)
    except TimeoutError:
        return False
    return True


# "event" is the action's name in Docker's words.
_FILTERS = frozenset({"type", "id", "event", "label", "container", "image", "network", "volume"})


def _event(row: sqlite3.Row) -> Event:
    return Event(
        revision=row["revision"],
        time=to_proto(row["time_ns"]),
        actor=row["actor"],
        object_type=row["object_type"],
        object_id=row["object_id"],
        action=row["action"],
        attributes=json.loads(row["attributes"]),
    )


def _matches(event: Event, wanted: dict[str, list[str]]) -> bool:
    """Tell whether an event meets filters, as Docker means them."""
    # "exec_start: sh" is an exec_start, too.
    actions = {event.action, event.action.partition(":")[0]}
    names = (event.object_id, event.attributes.get("name", ""))
    for key, values in wanted.items():
        if key == "label":
            met = filter_rules.match_labels(event.attributes, values)
        elif key == "type":
            met = event.object_type in values
        elif key == "event":
            met = not actions.isdisjoint(values)
        elif key == "image" and event.object_type == "container":
            met = _begins((event.attributes.get("image", ""),), values)
        else:
            met = key in ("id", event.object_type) and _begins(names, values)
        if not met:
            return False
    return True


def _begins(names: Iterable[str], values: Iterable[str]) -> bool:
    return any(name.startswith(value) for name in names for value in values if value)
