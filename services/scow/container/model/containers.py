"""All containers in memory, and the one way to change a record.

The states, and who moves a container from one to the next::

    (nothing) --create--> CREATING --> CREATED --start--> RUNNING <--pause, unpause--> PAUSED
                             |           |                   |                            |
                          rollback       |     EXITED <------+-------- exit --------------+
                             |           |       |  +--start--> RUNNING
                             v           +---+---+
                         (nothing)           | remove
                                             v
                                         REMOVING --> (nothing)
                                             |  ^
                                 failed      v  | remove again, reconcile
                                            DEAD

An exit leads to RESTARTING instead of EXITED where the restart policy says so; from there a start leads to RUNNING, and
`stop`, `kill` and `remove` to EXITED. `lifecycle.transitions` decides.

`Entry.lock` is held by whoever creates, starts, pauses or removes the container. An exit is recorded without it: it
happens when it happens. Nothing that only reads takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator

from google.protobuf.message import Message

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import Health
from scow.api.image.v1.image_pb2 import PrepareResponse
from scow.api.volume.v1.volume_pb2 import AcquireResponse
from scow.container.model import attachments, names, references
from scow.container.runtime.shim import Shim
from scow.container.store import ContainerStore
from scow.contract.errors import AmbiguousId, ContainerNotFound, InvalidName, NameInUse
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.times import now_ns, to_proto

# Clients try for five seconds to go on after a restart; what they have not read by then is long.
_RETURN_SECONDS = 6.0
_SERVE_SECONDS = 30.0
ALIVE = frozenset({pb.STATUS_RUNNING, pb.STATUS_PAUSED})


class Entry:
    """One container.

    Attributes:
        described: What it is now; replaced as a whole by `Containers.change`, never changed in place.
        rootfs: The mounts of its root file system.
        volumes: Its further mounts.
        remove_volumes: Anonymous volumes go with it.
        lock: See the module.
        shim: Connection to its shim, from the start until all is cleaned up.
        health: How it is, with the results since the latest change of its status, which alone is on record.
        acting: Something is being done about its being unhealthy.
        restarter: Starts it again when that is due.
        watcher: Follows the shim to the exit and cleans up.
        exits: How often it has exited since this service started.
        gone: It was removed.
        restarting: Its exit is followed by a start, so that `auto_remove` waits.
        sessions: Attach and exec sessions that may still have output to deliver.
        awaited_until: Until when, on the monotonic clock, clients that a restart of this service cut off may come back.
    """

    def __init__(
        self,
        described: pb.Container,
        rootfs: PrepareResponse | None = None,
        volumes: AcquireResponse | None = None,
        remove_volumes: bool = False,
    ) -> None:
        self.described = described
        self.rootfs = rootfs or PrepareResponse()
        self.volumes = volumes or AcquireResponse()
        self.remove_volumes = remove_volumes
        self.lock = asyncio.Lock()
        self.shim: Shim | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.restarter: asyncio.Task[None] | None = None
        self.health = Health()
        self.acting = False
        self.exits = 0
        self.gone = False
        self.restarting = False
        self.sessions = 0
        self.awaited_until = 0.0
        self._returned = 0
        self._served = False
        self._changed = asyncio.Event()

    @property
    def id(self) -> str:
        """The container's id."""
        return self.described.id

    @property
    def owner(self) -> str:
        """What others hold things for."""
        return f"container/{self.id}"

    @property
    def alive(self) -> bool:
        """Whether it runs or is paused."""
        return self.described.status in ALIVE

    @property
    def awaits_restart(self) -> bool:
        """Whether it has ended, and its restart policy will start it."""
        return self.described.status == pb.STATUS_RESTARTING

    def outcome(self) -> pb.WaitResponse:
        """Return how it ended."""
        d = self.described
        outcome = pb.WaitResponse(exit_code=d.exit_code, oom_killed=d.oom_killed, error=d.error)
        if d.HasField("finished_at"):
            outcome.finished_at.CopyFrom(d.finished_at)
        return outcome

    def notify(self) -> None:
        """Wake those who wait in `until`."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until a condition is met; return whether it is, after at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._changed.wait()
        return condition()

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Count a session, so that the shim is kept until it has delivered its output."""
        self.sessions += 1
        try:
            yield
        finally:
            self.sessions -= 1
            self.notify()

    @contextlib.contextmanager
    def returned(self) -> Iterator[None]:
        """Serve, in the block, a client that came back after a restart of this service."""
        self._returned += 1
        try:
            yield
        finally:
            self._returned -= 1
            self._served = True
            self.notify()

    @property
    def awaits_clients(self) -> bool:
        """Whether clients may come back yet, and none has come."""
        return not self._served and time.monotonic() < self.awaited_until

    async def let_clients_return(self) -> None:
        """Wait a moment for clients that a restart cut off, and until those that came have all of the output."""
        left = self.awaited_until - time.monotonic()
        if left > 0:
            await self.until(lambda: self._served and not self._returned, left)
        await self.until(lambda: not self._returned, _SERVE_SECONDS)


class Containers:
    """All containers of the engine."""

    def __init__(self, store: ContainerStore, journal: Journal) -> None:
        self.store = store
        self._journal = journal
        self._by_id = {
            row.described.id: Entry(row.described, row.rootfs, row.volumes, row.remove_volumes)
            for row in store.all()
        }
        self._by_name = {entry.described.name: entry for entry in self._by_id.values()}
        for entry in self._by_id.values():
            entry.awaited_until = time.monotonic() + _RETURN_SECONDS
        for entry in self._by_id.values():
            if not entry.described.networks:  # recorded when there was one network alone
                entry.described.networks.extend(attachments.of(entry.described.config))

    def all(self) -> list[Entry]:
        """Return all containers."""
        return list(self._by_id.values())

    def knows(self, container: str) -> bool:
        """Tell whether there is a container with this id."""
        return container in self._by_id

    def find(self, text: str) -> Entry:
        """Return the container with this id, name, or beginning of an id.

        Raises:
            ContainerNotFound: There is none.
            AmbiguousId: Several ids begin so.
        """
        text = text.removeprefix("/")
        entry = self._by_id.get(text) or self._by_name.get(text)
        if entry is not None:
            return entry
        found = [e for e in self._by_id.values() if e.id.startswith(text)] if text else []
        if len(found) > 1:
            raise AmbiguousId(
                f"several containers' ids begin with {text}",
                what="container",
                which=text,
                do="give more of the id",
            )
        if not found:
            raise ContainerNotFound(
                f"no such container: {text}",
                what="container",
                which=text,
                do="see `scow ps -a` for those there are",
            )
        return found[0]

    def reserve(self, described: pb.Container) -> Entry:
        """Record the intent to create a container; an empty name is replaced by one that is free.

        Raises:
            NameInUse: Another container has the name.
        """
        if not described.name:
            described.name = names.make(self._by_name.__contains__)
        self.check_free(described.name)
        with self.store.store.transaction() as tx:
            self.store.insert(tx, described)
        entry = Entry(described)
        self._by_id[described.id] = self._by_name[described.name] = entry
        return entry

    def check_free(self, name: str) -> None:
        """Refuse a name that another container has.

        Raises:
            NameInUse: As said.
        """
        holder = self._by_name.get(name)
        if holder is not None:
            raise NameInUse(
                f'Conflict. The container name "/{name}" is already in use by container "{holder.id}"',
                what="container",
                which=name,
                do="remove (or rename) that container, or choose another name",
                container=holder.id,
            )

    def rename(self, entry: Entry, name: str, respond: Callable[[pb.Container], Message]) -> None:
        """Record another name of a container, also where the configurations of others name it.

        Args:
            entry: Which one.
            name: That it is called from now on.
            respond: Makes the response that a repeated request gets.

        Raises:
            InvalidName: The name does not follow the rules, or is the one that it has.
            NameInUse: Another container has the name.
        """
        before = entry.described.name
        if name == before:
            raise InvalidName(
                "Renaming a container with the same name as its current name",
                what="container",
                which=name,
                do="choose another name",
            )
        names.check(name)
        self.check_free(name)
        others: list[tuple[Entry, pb.Container]] = []
        with self.change(entry, ["rename"], oldName=f"/{before}") as (tx, draft):
            draft.name = name
            self.store.rename(tx, entry.id, name)
            for other in self._by_id.values():
                if references.has(other.described.config, before) and other is not entry:
                    described = pb.Container()
                    described.CopyFrom(other.described)
                    references.change(described.config, before, name)
                    self.store.describe(tx, described)
                    others.append((other, described))
            remember(tx, respond(draft))
        for other, described in others:
            other.described = described
        del self._by_name[before]
        self._by_name[name] = entry

    @contextlib.contextmanager
    def change(
        self, entry: Entry, actions: Iterable[str] = (), **facts: str
    ) -> Iterator[tuple[sqlite3.Connection, pb.Container]]:
        """Change a record: the block gets a transaction and a copy, which is recorded at its end.

        Args:
            entry: Which one.
            actions: Events for the journal.
            facts: Attributes of the events.
        """
        draft = pb.Container()
        draft.CopyFrom(entry.described)
        draft.updated_at.FromNanoseconds(now_ns())
        with self.store.store.transaction() as tx:
            yield tx, draft
            self.store.describe(tx, draft)
            for action in actions:
                self.journal(tx, draft, action, **facts)
        entry.described = draft
        entry.notify()

    def journal(
        self, tx: sqlite3.Connection, described: pb.Container, action: str, **facts: str
    ) -> None:
        """Write an event about a container."""
        attributes = {**facts, "name": described.name, "image": described.config.image}
        self._journal.append(tx, "container", described.id, action, attributes, described.labels)

    def forget(self, tx: sqlite3.Connection, entry: Entry, *, created: bool) -> None:
        """Delete a record. Call `forgotten` when the transaction is over.

        Args:
            tx: The transaction.
            entry: Which one.
            created: False when the container's creation failed: then there is nothing to tell of it.
        """
        outcome = entry.outcome() if created else None
        self.store.delete(tx, entry.id, outcome, now_ns())
        if created:
            self.journal(tx, entry.described, "destroy")

    def forgotten(self, entry: Entry) -> None:
        """Drop a container whose record was deleted."""
        self._by_id.pop(entry.id, None)
        self._by_name.pop(entry.described.name, None)
        entry.gone = True
        entry.notify()


def stamp(message: pb.Container, field: str, ns: int) -> None:
    """Set a field that is a time."""
    getattr(message, field).CopyFrom(to_proto(ns))
