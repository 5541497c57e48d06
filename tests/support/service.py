"""One service alone, as a process, driven over its socket."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scow.contract.errors import DETAILS_KEY, ScowError, from_wire
from tests.support import processes
from tests.support.engine import clean_environment


class Service:
    """`python -m scow.NAME` with a root and a run directory of its own.

    Args:
        name: Of the service.
        instance: Of the engine that it plays.
        settings: Keys of the configuration as SCOW_* variables.
        prefix: Put before its command, to run it in a network namespace.
        root: That of another service, which has stopped; None means one of its own.
        folder: Where its own is; None means that of temporary files.
    """

    def __init__(
        self,
        name: str,
        instance: str = "tsvc",
        settings: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        root: Path | None = None,
        folder: str | None = None,
    ) -> None:
        self._prefix = prefix
        self.name = name
        self.instance = instance
        self.base = Path(tempfile.mkdtemp(prefix=f"scow-{name}-", dir=folder))
        self.root = root or self.base / "root"
        self.run = self.base / "run"
        self.data = self.root / name
        self.log = self.base / "log"
        self._settings = {**clean_environment(), **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.channel = grpc.insecure_channel(f"unix://{self.run}/{name}.sock")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.channel.close()
        self.stop()
        shutil.rmtree(self.base)

    @property
    def pid(self) -> int:
        """PID of the service."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it serves."""
        arguments = ["--root", str(self.root), "--run", str(self.run), "--instance", self.instance]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", f"scow.{self.name}", *arguments],
                env=self._settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        processes.wait_for(
            self._serves, f"the service {self.name}; its log: {self.log.read_text()}"
        )

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended: {self.log.read_text()}"
        with contextlib.suppress(grpc.RpcError):
            stub: Any = health_pb2_grpc.HealthStub(self.channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return process.wait(30)

    def kill_and_restart(self) -> None:
        """SIGKILL, then a new process."""
        self.stop(signal.SIGKILL)
        self.start()


def from_rpc_error(error: grpc.RpcError) -> ScowError:
    """Return the typed error that a bare channel's error carries."""
    assert isinstance(error, grpc.Call)
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    return from_wire(error.code().value[0], error.details() or "", trailers.get(DETAILS_KEY, b""))


@contextlib.contextmanager
def typed() -> Iterator[None]:
    """Raise the typed error of a bare channel's error."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
