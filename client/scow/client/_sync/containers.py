"""The container service, as a client sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Unpack, overload

from google.protobuf.timestamp_pb2 import Timestamp

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.client._log_place import parse_cursor
from scow.client._options import ContainerOptions, Filters, build_config, filters_of
from scow.client._results import ExecResult, RunResult
from scow.client._sync.capture import Capture
from scow.client._sync.container_lists import ContainerLists
from scow.client._sync.execs import SyncExecs
from scow.client._sync.files import SyncFiles
from scow.client._sync.logs import Logs
from scow.client._sync.service import Service
from scow.client._sync.session import Attachment, Execution
from scow.client._sync.stats import SyncStats
from scow.client._sync.stream import Stream
from scow.client._watch import resume_watch
from scow.contract.errors import ImageNotFound, NotFound, PlatformNotFound, ScowError, ShimDied

if TYPE_CHECKING:
    from scow.client._sync.images import Images

# An image that was pulled may be pruned before a container has it: it is pulled so often.
_PULLS = 3

_Actions = list[ReconcileAction]


class Containers(ContainerLists, Capture, SyncFiles, SyncStats, SyncExecs):
    """Containers.

    Wherever a method takes `container`, that is an id, a unique prefix of the id, or a name; an
    unknown one raises ContainerNotFound, an ambiguous prefix AmbiguousId.

    Example::

        web = client.containers.run("nginx", ports=["8080:80"], detach=True)
        print(web.name, web.pid)
    """

    def __init__(self, service: Service, images: Callable[[], Images]) -> None:
        super().__init__(service)
        self._images = images

    def why(self, container: str, *, lines: int = 5, timeout: float | None = None) -> Sequence[str]:
        r"""Tell why a container ended, in sentences for people.

        What they are made of is in the container: `exit_code`, `exit_report`, `end_request`, `health`, `restart`.

        Args:
            container: Which one.
            lines: So many last lines of its log stand at the end.
            timeout: Seconds.

        Raises:
            ContainerNotFound: There is no such container.

        Example::

            print("\n".join(client.containers.why("web")))
        """
        from scow.words.exit_report import sentences

        found = self.get(container, timeout=timeout)
        logged = b""
        if lines > 0 and found.log_path:
            with self.logs(found.id, tail=lines, timeout=timeout) as records:
                for record in records:
                    logged += record.stdout or record.stderr
        return sentences(found, logged.decode("utf-8", "replace").splitlines()[-lines or 0 :])

    def logs(
        self,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: Timestamp | None = None,
        until: Timestamp | None = None,
        stdout: bool = True,
        stderr: bool = True,
        after: pb.OutputPosition | str | None = None,
        places: bool = False,
        timeout: float | None = None,
    ) -> Logs:
        """Give what a container wrote, in order, with the time of each record.

        Args:
            container: Which one.
            follow: Go on with what it writes, until it ends.
            tail: Only so many last lines; None means all.
            since: Only from this time on.
            until: Only up to this time.
            stdout: Its standard output.
            stderr: Its standard error.
            after: Go on after this place: the `cursor` of a record, or of what this method returned before. Where it
                was rotated away, from the oldest record on. `tail` means nothing then.
            places: Tell the `cursor` of records also with `tail`, which then takes longer.
            timeout: Seconds for all of it.

        Raises:
            ValueError: `after` is no cursor.

        Example::

            with client.containers.logs("web", tail=10) as logs:
                for record in logs:
                    print(record.time.ToJsonString(), record.stdout or record.stderr)
        """
        place = parse_cursor(after) if isinstance(after, str) else after
        request = pb.LogsRequest(
            container=container,
            follow=follow,
            tail=tail,
            since=since,
            until=until,
            stdout=stdout,
            stderr=stderr,
            after=place,
            places=places,
            batches=True,
        )
        return Logs(self._service, request, timeout)

    def attach(
        self,
        container: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        start: bool = False,
        logs: bool = False,
        window: tuple[int, int] | None = None,
        timeout: float | None = None,
    ) -> Attachment:
        """Connect to the stdio of a container's process; returns when the streams are there.

        Args:
            container: Which one.
            stdin: Also write to its input.
            stdout: Its standard output.
            stderr: Its standard error.
            start: Start it once the streams are connected, so that no output is missed.
            logs: First send what the log has.
            window: Rows and columns of the terminal.
            timeout: Seconds for the whole session.

        Raises:
            ContainerNotRunning: It does not run, and `start` is not set.
            CommandNotFound, CommandNotExecutable: With `start`: the command cannot be executed.

        Example::

            with client.containers.attach("job", start=True) as session:
                for output in session:
                    print(output.stdout)
                print(session.exit_code)
        """
        opened = pb.AttachRequest.Open(
            container=container,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start=start,
            logs=logs,
            window_size=_window(window),
        )
        session = Attachment(
            self._service,
            lambda seconds: self._service.duplex(
                "Attach", pb.AttachRequest, pb.AttachResponse, seconds
            ),
            timeout,
        )
        return session.open(pb.AttachRequest(open=opened))

    def open_exec(
        self,
        container: str,
        args: Sequence[str],
        *,
        env: Mapping[str, str] | Iterable[str] = (),
        working_dir: str = "",
        user: str = "",
        tty: bool = False,
        privileged: bool = False,
        stdin: bool = False,
        detach: bool = False,
        window: tuple[int, int] | None = None,
        timeout: float | None = None,
    ) -> Execution:
        r"""Run a further process in a running container and connect to its stdio.

        Args:
            container: Which one.
            args: Command and arguments.
            env: Variables by name, or texts KEY=VALUE, on top of the container's.
            working_dir: Absolute path; empty means the container's.
            user: name|uid[:group|gid]; empty means the container's.
            tty: Give it a terminal.
            privileged: Give it all capabilities.
            stdin: Also write to its input.
            detach: Only start it: the session has no output.
            window: Rows and columns of the terminal.
            timeout: Seconds for the whole session.

        Raises:
            ContainerNotRunning, ContainerPaused: It cannot run a process now.
            CommandNotFound, CommandNotExecutable: The command cannot be executed.
            UserNotFound: The container's files have no such user.

        Example::

            session = client.containers.open_exec("web", ["sh"], stdin=True)
            with session:
                session.send(b"ls\n")
                session.close_stdin()
                for output in session:
                    print(output.stdout)
        """
        if isinstance(args, str):
            raise TypeError("args must be a sequence of arguments, not a single string")
        if isinstance(env, Mapping):
            env = [f"{key}={value}" for key, value in env.items()]
        opened = pb.ExecRequest.Open(
            container=container, stdin=stdin, detach=detach, window_size=_window(window)
        )
        opened.config.MergeFrom(
            pb.ExecConfig(
                args=args,
                env=env,
                working_dir=working_dir,
                user=user,
                tty=tty,
                privileged=privileged,
            )
        )
        session = Execution(
            self._service,
            lambda seconds: self._service.duplex("Exec", pb.ExecRequest, pb.ExecResponse, seconds),
            timeout,
        )
        return session.open(pb.ExecRequest(open=opened))

    def exec(
        self,
        container: str,
        args: Sequence[str],
        *,
        env: Mapping[str, str] | Iterable[str] = (),
        working_dir: str = "",
        user: str = "",
        tty: bool = False,
        privileged: bool = False,
        input: bytes | None = None,  # noqa: A002  as subprocess.run names it
        timeout: float | None = None,
    ) -> ExecResult:
        """Run a process in a running container and return its outcome.

        Args:
            container: Which one.
            args: Command and arguments.
            env: As of `open_exec`.
            working_dir: As of `open_exec`.
            user: As of `open_exec`.
            tty: As of `open_exec`.
            privileged: As of `open_exec`.
            input: What it reads; None means nothing is there to read.
            timeout: Seconds.

        Raises:
            ContainerNotRunning, ContainerPaused: It cannot run a process now.
            CommandNotFound, CommandNotExecutable: The command cannot be executed.
            UserNotFound: The container's files have no such user.
            ShimDied: The process's end is not known.

        Example::

            result = client.containers.exec("web", ["nginx", "-t"])
            print(result.exit_code, result.stderr.decode())
        """
        session = self.open_exec(
            container,
            args,
            env=env,
            working_dir=working_dir,
            user=user,
            tty=tty,
            privileged=privileged,
            stdin=input is not None,
            timeout=timeout,
        )
        with session:
            if input is not None:
                session.send(input)
                session.close_stdin()
            stdout, stderr = bytearray(), bytearray()
            for output in session:
                stdout += output.stdout
                stderr += output.stderr
            code = _known(session.exit_code, container)
            return ExecResult(code, bytes(stdout), bytes(stderr))

    def info(self, *, timeout: float | None = None) -> pb.InfoResponse:
        """Tell what the engine is: its version, root directory, cgroups, log drivers and confinement.

        Example::

            print((client.containers.info()).version)
        """
        return self._service.call("Info", pb.InfoRequest(), pb.InfoResponse, timeout)

    def get_exec(
        self, container: str, exec_id: str, *, timeout: float | None = None
    ) -> pb.GetExecResponse:
        """Tell what became of an exec session.

        Raises:
            ExecNotFound: No such session.

        Example::

            session = client.containers.open_exec("web", ["sleep", "1"], detach=True)
            print((client.containers.get_exec("web", session.exec_id)).running)
        """
        request = pb.GetExecRequest(container=container, exec_id=exec_id)
        return self._service.call("GetExec", request, pb.GetExecResponse, timeout)

    @overload
    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        detach: Literal[True],
        name: str = "",
        pull: str = "missing",
        **options: Unpack[ContainerOptions],
    ) -> pb.Container: ...

    @overload
    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        detach: Literal[False] = False,
        name: str = "",
        pull: str = "missing",
        **options: Unpack[ContainerOptions],
    ) -> RunResult: ...

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        detach: bool = False,
        name: str = "",
        pull: str = "missing",
        **options: Unpack[ContainerOptions],
    ) -> pb.Container | RunResult:
        """Create a container and start it; without `detach`, also wait for its end.

        With `auto_remove` it is removed when this returns. A container that could not be started is
        removed when `auto_remove` is set, and so is one whose run is cancelled.

        Args:
            image: Which image.
            command: Arguments in place of the image's CMD.
            detach: Return the container once it runs.
            name: Empty: one is made up.
            pull: When to pull the image first: "missing", "always" or "never".
            options: See ContainerOptions.

        Raises:
            ImageNotFound, PlatformNotFound: No such image, or not for the platform, and `pull` is "never".
            PlatformMismatch: The image is for another platform than the machine.
            NameInUse: Another container has the name.
            CommandNotFound, CommandNotExecutable: The command cannot be executed.
            AddressInUse: A host port is taken.
            ShimDied: The container's end is not known.

        Example::

            result = client.containers.run("busybox", ["date"], auto_remove=True)
            print(result.exit_code, result.stdout.decode())
        """
        config = build_config(image, command, **options)
        created = self._create_pulled(config, name, pull, options.get("platform", ""))
        try:
            if detach:
                return self.start(created.id)
            result = self._attend(created.id)
            if config.auto_remove:
                self.wait_removed(created.id)
            return result
        except BaseException:
            if config.auto_remove:
                self._discard(created.id)
            raise

    def _create_pulled(
        self, config: pb.ContainerConfig, name: str, pull: str, platform: str
    ) -> pb.Container:
        if pull not in ("missing", "always", "never"):
            raise ValueError(f"invalid pull policy {pull!r}: use 'missing', 'always' or 'never'")
        tries = 0
        while True:
            if tries or pull == "always":
                self._images().pull(config.image, platform=platform)
            try:
                return (self.create_from(config, name=name)).container
            except (ImageNotFound, PlatformNotFound):
                tries += 1
                if pull == "never" or tries > _PULLS:
                    raise

    def _attend(self, container: str) -> RunResult:
        stdout, stderr = bytearray(), bytearray()
        with self.attach(container, start=True) as session:
            for output in session:
                stdout += output.stdout
                stderr += output.stderr
            if (
                session.exit_code is None and session.incomplete
            ):  # it ended while the service was restarted
                code = (self.wait(container)).exit_code
            else:
                code = _known(session.exit_code, container)
            return RunResult(container, code, bytes(stdout), bytes(stderr), session.warnings)

    def _discard(self, container: str) -> None:
        try:
            self.remove(container, force=True, volumes=True)
        except NotFound:
            return
        except ScowError as error:
            # The error under way says more than this one.
            error.add_note("while removing the container after a failure")

    def reconcile(self, *, timeout: float | None = None) -> _Actions:
        """Compare records with the kernel and other services now, and tell what was done.

        Example::

            print(client.containers.reconcile())
        """
        request = pb.ReconcileRequest()
        response = self._service.call("Reconcile", request, pb.ReconcileResponse, timeout)
        return [*response.actions]

    def watch(
        self,
        from_revision: int = 0,
        *,
        filters: Filters | None = None,
        timeout: float | None = None,
    ) -> Stream[pb.WatchResponse]:
        """Replay the journal, then follow it; goes on where it was after a restart.

        Args:
            from_revision: First revision to deliver; 0 means only what comes from now on.
            filters: "type", "object", "action" and the like.
            timeout: Seconds for all of it.

        Example::

            with client.containers.watch(1) as events:
                for message in events:
                    print(message.event.action, message.event.object_id)
        """
        request = pb.WatchRequest(from_revision=from_revision, filters=filters_of(filters))
        return self._service.stream(
            "Watch", request, pb.WatchResponse, timeout, lambda last: resume_watch(request, last)
        )


def _window(size: tuple[int, int] | None) -> pb.WindowSize | None:
    return None if size is None else pb.WindowSize(rows=size[0], columns=size[1])


def _known(code: int | None, container: str) -> int:
    if code is None:
        raise ShimDied(
            f"the session with {container} ended without an exit code",
            what="container",
            which=container,
            do="look at its state with `scow inspect`",
        )
    return code
