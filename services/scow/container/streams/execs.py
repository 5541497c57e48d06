"""Records of exec sessions: that they began, and how they ended, also when nobody is attached to them."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.container.model.containers import Entry
from scow.container.model.states import KILLED
from scow.container.shared import Shared
from scow.contract.errors import ContainerNotRunning, ExecNotFound, ShimDied
from scow.core.times import now_ns

# Characters of a command that events repeat.
_COMMAND_MAX = 1024


class Execs:
    """Keeps the records."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def begin(self, entry: Entry, exec_id: str, pid: int, config: pb.ExecConfig) -> None:
        """Record a session that was started."""
        containers = self._shared.containers
        if entry.gone:
            return
        with containers.store.store.transaction() as tx:
            containers.store.insert_exec(tx, exec_id, entry.id, pid, now_ns(), config)
            command = " ".join(config.args)[:_COMMAND_MAX]
            containers.journal(tx, entry.described, f"exec_create: {command}", execID=exec_id)
            containers.journal(tx, entry.described, f"exec_start: {command}", execID=exec_id)

    def end(self, entry: Entry, exec_id: str, code: int) -> None:
        """Record a session's end; the first record stands."""
        containers = self._shared.containers
        if entry.gone:
            return
        with containers.store.store.transaction() as tx:
            if containers.store.end_exec(tx, exec_id, code, now_ns()):
                facts = {"execID": exec_id, "exitCode": str(code)}
                containers.journal(tx, entry.described, "exec_die", **facts)

    def ended(self, entry: Entry, exec_id: str) -> int:
        """Return the exit code of a session of a container that does not run.

        Raises:
            ExecNotFound: There is none of this id, or it ended more than some minutes ago.
        """
        row = self._shared.containers.store.exec(exec_id)
        if row is None or row.container != entry.id:
            raise _not_found(exec_id)
        return KILLED if row.exit_code is None else row.exit_code

    def follow(self, entry: Entry, exec_id: str) -> None:
        """Record the end of a process that nobody is attached to, when it comes."""
        self._shared.background.start(self._follow(entry, exec_id))

    def follow_all(self, entry: Entry) -> None:
        """Follow every session that has no end yet: after a restart of this service."""
        for exec_id in self._shared.containers.store.running_execs(entry.id):
            self.follow(entry, exec_id)

    async def _follow(self, entry: Entry, exec_id: str) -> None:
        shim = entry.shim
        if shim is None:
            return
        try:
            ending = await shim.wait_exec(exec_id)
        except (ShimDied, ContainerNotRunning, ExecNotFound):
            return  # the container's end is recorded, and theirs with it
        self.end(entry, exec_id, ending.code)

    async def get(self, request: pb.GetExecRequest) -> pb.GetExecResponse:
        """Tell what became of an exec session.

        Raises:
            ExecNotFound: There is none of this id, or it ended more than some minutes ago.
        """
        entry = self._shared.containers.find(request.container)
        row = self._shared.containers.store.exec(request.exec_id)
        if row is None or row.container != entry.id:
            raise _not_found(request.exec_id)
        response = pb.GetExecResponse(exec_id=row.exec_id, pid=row.pid)
        if row.exit_code is not None:
            response.exit_code = row.exit_code
        elif not entry.alive or entry.shim is None:
            response.exit_code = KILLED
        else:
            state = await entry.shim.exec_state(row.exec_id)
            response.running, response.exit_code = state.running, state.exit.code
        return response


def _not_found(exec_id: str) -> ExecNotFound:
    return ExecNotFound(
        f"no such exec session: {exec_id}",
        what="exec session",
        which=exec_id,
        do="sessions are kept for some minutes after their end",
    )
