"""What is known of exec sessions, and what is done to them from outside."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from scow.api.container.v1 import container_pb2, execs_pb2
from scow.container.model.containers import Entry
from scow.container.model.states import KILLED
from scow.container.shared import Shared
from scow.container.spec import signal_names
from scow.container.store import ExecRow
from scow.contract.errors import (
    AmbiguousId,
    ContainerNotFound,
    ContainerNotRunning,
    ExecNotFound,
    ExecRunning,
)

_LEAST_PREFIX = 1
# Between two looks whether a session that was killed has ended, and for how long.
_LOOK_SECONDS, _LOOKS = 0.05, 200


class ExecSessions:
    """The exec sessions of all containers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._store = shared.containers.store

    def list(self, container: str, *, all_: bool) -> Sequence[execs_pb2.ExecSession]:
        """Describe sessions, the earliest first.

        Raises:
            ContainerNotFound: There is no such container.
        """
        only = self._shared.containers.find(container).id if container else ""
        rows = [row for row in self._store.execs() if only in ("", row.container)]
        found = [self._describe(row) for row in rows]
        return [each for each in found if each.running or all_]

    def find(self, exec_id: str) -> execs_pb2.ExecSession:
        """Describe one.

        Raises:
            ExecNotFound, AmbiguousId: There is none, or several begin so.
        """
        return self._describe(self._row(exec_id))

    async def kill(self, exec_id: str, signal_name: str) -> None:
        """Send a signal.

        Raises:
            ContainerNotRunning: It has ended.
        """
        number = signal_names.parse(signal_name) if signal_name else int(signal.SIGKILL)
        row = self._row(exec_id)
        entry = self._entry(row)
        if row.exit_code is not None or entry is None or not entry.alive or entry.shim is None:
            raise ContainerNotRunning(
                f"exec session {row.exec_id} has ended",
                what="exec session",
                which=row.exec_id,
                do="see `scow execs ls --all`",
            )
        await entry.shim.kill_exec(row.exec_id, number)

    async def remove(self, exec_id: str, *, force: bool) -> None:
        """Forget a session.

        Raises:
            ExecRunning: It runs, and `force` is not set, or it does not end: its container is frozen.
        """
        row = self._row(exec_id)
        if self._describe(row).running:
            if not force:
                raise _running(row, "kill it first, or use force")
            await self.kill(row.exec_id, "")
            for _ in range(_LOOKS):
                if not self._describe(self._row(row.exec_id)).running:
                    break
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                raise _running(row, "resume its container if that is paused, then try again")
        with self._store.store.transaction() as tx:
            self._store.delete_exec(tx, row.exec_id)

    def _row(self, exec_id: str) -> ExecRow:
        rows = [row for row in self._store.execs() if row.exec_id.startswith(exec_id)]
        exact = [row for row in rows if row.exec_id == exec_id]
        if exact or (len(rows) == 1 and exec_id):
            return (exact or rows)[0]
        if rows and exec_id:
            raise AmbiguousId(
                f"several exec sessions begin with {exec_id}",
                what="exec session",
                which=exec_id,
                do="give more digits of its id",
            )
        raise ExecNotFound(
            f"no such exec session: {exec_id}",
            what="exec session",
            which=exec_id,
            do="see `scow execs ls --all`; sessions are kept for some minutes after their end",
        )

    def _entry(self, row: ExecRow) -> Entry | None:
        try:
            return self._shared.containers.find(row.container)
        except ContainerNotFound:
            return None

    def _describe(self, row: ExecRow) -> execs_pb2.ExecSession:
        entry = self._entry(row)
        config = container_pb2.ExecConfig.FromString(row.config)
        running = row.exit_code is None and entry is not None and entry.alive
        session = execs_pb2.ExecSession(
            exec_id=row.exec_id,
            container=row.container,
            container_name=entry.described.name if entry is not None else "",
            running=running,
            pid=row.pid if running else 0,
            exit_code=0 if running else KILLED if row.exit_code is None else row.exit_code,
            args=config.args,
            user=config.user,
            working_dir=config.working_dir,
            tty=config.tty,
            privileged=config.privileged,
        )
        session.started_at.FromNanoseconds(row.started_ns)
        if row.ended_ns is not None:
            session.finished_at.FromNanoseconds(row.ended_ns)
        return session


def _running(row: ExecRow, do: str) -> ExecRunning:
    return ExecRunning(
        f"exec session {row.exec_id} is running", what="exec session", which=row.exec_id, do=do
    )
