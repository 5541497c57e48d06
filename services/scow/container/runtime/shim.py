"""A shim, as the container service sees it: its socket, and whether it lives."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.contract.channel import SERVICE, channel_options
from scow.contract.errors import ScowError, ServiceUnavailable, ShimDied
from scow.core.peers import translate

if TYPE_CHECKING:
    from scow.api.shim.v1.shim_pb2_grpc import ShimServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Ending:
    """How a container ended (the shim's exit record)."""

    code: int
    time_ns: int
    oom_killed: bool = False
    error: str = ""

    @classmethod
    def of_message(cls, message: shim_pb.Exit) -> Ending:
        """Read the record from the shim's answer."""
        return cls(message.code, message.time.ToNanoseconds(), message.oom_killed, message.error)

    @classmethod
    def of_file(cls, record: dict[str, Any]) -> Ending:
        """Read the record from exit.json."""
        return cls(record["code"], record["time_ns"], record["oom_killed"], record["error"])


class Shim:
    """A connection to a shim, kept for as long as the shim lives.

    Args:
        path: Of its socket.
    """

    def __init__(self, path: Path) -> None:
        from scow.api.shim.v1.shim_pb2_grpc import ShimServiceStub

        self._channel = grpc.aio.insecure_channel(
            f"unix://{path}", options=channel_options(SERVICE)
        )
        self.stub: ShimServiceAsyncStub = ShimServiceStub(self._channel)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


@contextlib.contextmanager
def shim_errors(container: str) -> Iterator[None]:
    """Raise errors of scow.contract.errors for what a call to a shim raised.

    Raises:
        ScowError: What the shim said.
        ShimDied: It does not answer.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise shim_error(container, error) from error


def shim_error(container: str, error: grpc.aio.AioRpcError) -> ScowError:
    """Return the error that a failed call to a shim stands for."""
    translated = translate("shim", error)
    if isinstance(translated, ServiceUnavailable):
        return ShimDied(
            f"the shim of container {container[:12]} does not answer",
            what="container",
            which=container,
            do="look at the container again: its end is recorded within a moment",
        )
    return translated


def lives(state: Path) -> bool:
    """Tell whether the shim of a state folder lives: its PID, with the start time that it had."""
    record = _load(state / "state.json")
    pid = (record or {}).get("shim_pid", 0)
    if not record or not pid:
        return False
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    fields = raw[raw.rindex(b")") + 2 :].split()
    return int(fields[19]) == record["shim_start_ticks"] and fields[0] not in (b"Z", b"X")


def ending(state: Path) -> Ending | None:
    """Return the exit record of a state folder, if there is one."""
    record = _load(state / "exit.json")
    return None if record is None else Ending.of_file(record)


def warnings(state: Path) -> list[str]:
    """Return what a shim could not do and went on without."""
    return list((_load(state / "state.json") or {}).get("warnings", ()))


def _load(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return record
