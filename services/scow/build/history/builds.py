"""Builds: those that run, and the history of those that ran."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scow.api.build.v1 import build_pb2 as pb
from scow.build.history import events
from scow.build.history.events import EventLog
from scow.build.history.progress import Progress
from scow.build.store import BuildStore
from scow.contract.errors import AmbiguousId, BuildNotFound, FailedPrecondition
from scow.core.journal import Journal
from scow.core.times import now_proto

_KEPT = 100


@dataclass
class Running:
    """A build under way."""

    record: pb.BuildRecord
    log: EventLog
    progress: Progress
    task: asyncio.Task[pb.BuildResult] | None = None


class Builds:
    """All builds.

    Args:
        base: The service's folder.
        rows: The tables.
        journal: Of changes.
    """

    def __init__(self, base: Path, rows: BuildStore, journal: Journal) -> None:
        self._folder = base / "history"
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._rows = rows
        self._journal = journal
        self.running: dict[str, Running] = {}

    def begin(self, options: pb.BuildOptions) -> Running:
        """Record a build that begins."""
        build = secrets.token_hex(16)
        record = pb.BuildRecord(
            id=build,
            name=next(iter(options.tags), "") or options.dockerfile_path or "Dockerfile",
            status=pb.BUILD_STATUS_RUNNING,
            created_at=now_proto(),
            dockerfile=options.dockerfile_path,
            target=options.target,
            references=options.tags,
        )
        log = EventLog(self._path(build))
        running = self.running[build] = Running(record, log, Progress(log))
        with self._rows.transaction() as tx:
            self._rows.put_build(tx, record)
            self._journal.append(tx, "build", build, "start", {"name": record.name})
        return running

    def end(
        self, running: Running, result: pb.BuildResult | None, error: str, *, canceled: bool
    ) -> None:
        """Record how a build ended."""
        record = running.record
        record.completed_at.CopyFrom(now_proto())
        record.error = error
        record.status = (
            pb.BUILD_STATUS_CANCELED
            if canceled
            else pb.BUILD_STATUS_FAILED
            if error
            else pb.BUILD_STATUS_COMPLETED
        )
        _count(record, running.progress)
        if result is not None:
            record.images.extend(result.images)
            running.log.append(pb.BuildEvent(result=result))
        running.log.end()
        with self._rows.transaction() as tx:
            self._rows.put_build(tx, record)
            action = {3: "fail", 4: "cancel"}.get(record.status, "complete")
            self._journal.append(tx, "build", record.id, action, {"name": record.name})
        self.running.pop(record.id, None)
        self._forget_old()

    def _forget_old(self) -> None:
        for record in self._rows.builds()[_KEPT:]:
            if record.id not in self.running:
                self._delete(record.id)

    def _path(self, build: str) -> Path:
        return self._folder / f"{build}.events"

    def find(self, prefix: str) -> pb.BuildRecord:
        """Return a build by its id or the beginning of it; the latest one for an empty text.

        Raises:
            BuildNotFound, AmbiguousId: See these classes.
        """
        found = self._rows.build(prefix) if prefix else self._rows.builds()[:1]
        if len(found) > 1:
            raise AmbiguousId(
                f"{prefix} is the beginning of several ids",
                what="build",
                which=prefix,
                do="give more of it",
            )
        if not found:
            raise BuildNotFound(
                f"there is no build {prefix}", what="build", which=prefix, do="see `scow builds ls`"
            )
        running = self.running.get(found[0].id)
        if running is None:
            return found[0]
        _count(running.record, running.progress)
        return running.record

    def all(self) -> list[pb.BuildRecord]:
        """Return all builds, the newest first."""
        return [self.find(record.id) for record in self._rows.builds()]

    def vertices(self, build: str) -> list[pb.Vertex]:
        """Return the steps of a build, as they were told last."""
        if build in self.running:
            return [step.vertex for step in self.running[build].progress.steps]
        found: dict[str, pb.Vertex] = {}
        for event in events.read(self._path(build)):
            if event.HasField("vertex"):
                found[event.vertex.id] = event.vertex
        return list(found.values())

    async def follow(self, build: str, *, follow: bool) -> AsyncIterator[pb.BuildEvent]:
        """Give the events of a build, and with `follow` those to come."""
        running = self.running.get(build)
        if running is None or not follow:
            for event in events.read(self._path(build)):
                yield event
            return
        async for event in running.log.follow():
            yield event

    def stop(self, build: str) -> None:
        """End a build that runs; one that has ended stays as it is."""
        running = self.running.get(build)
        if running is not None and running.task is not None:
            running.task.cancel()

    def remove(self, prefixes: Sequence[str], *, every: bool) -> list[str]:
        """Forget builds that have ended; return their ids.

        Raises:
            BuildNotFound, AmbiguousId: See these classes.
            FailedPrecondition: One runs.
        """
        if every:
            chosen = [record.id for record in self._rows.builds() if record.id not in self.running]
        else:
            chosen = [self.find(prefix).id for prefix in prefixes]
        for build in chosen:
            if build in self.running:
                raise FailedPrecondition(
                    f"build {build} runs", what="build", which=build, do="stop it before"
                )
        for build in chosen:
            self._delete(build)
        return chosen

    def _delete(self, build: str) -> None:
        with self._rows.transaction() as tx:
            self._rows.delete_build(tx, build)
        with contextlib.suppress(FileNotFoundError):
            self._path(build).unlink()

    def reconcile(self) -> list[str]:
        """Record the end of builds that a service was killed in, and delete what has no record; return their ids."""
        ended = []
        for record in self._rows.builds():
            if record.status == pb.BUILD_STATUS_RUNNING and record.id not in self.running:
                record.status = pb.BUILD_STATUS_FAILED
                record.error = "the build service ended"
                record.completed_at.CopyFrom(now_proto())
                with self._rows.transaction() as tx:
                    self._rows.put_build(tx, record)
                ended.append(record.id)
        known = {record.id for record in self._rows.builds()}
        for path in self._folder.iterdir():
            if path.name.partition(".")[0] not in known:
                path.unlink()
        return ended


def _count(record: pb.BuildRecord, progress: Progress) -> None:
    vertices = [step.vertex for step in progress.steps]
    record.steps = len(vertices)
    record.cached_steps = sum(vertex.cached for vertex in vertices)
    record.completed_steps = sum(vertex.HasField("completed_at") for vertex in vertices)
