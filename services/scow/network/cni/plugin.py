"""Executing plugins (section 2 of the specification): variables in, JSON in, JSON out.

A plugin is a stranger's program: it gets a time, room for its answer and nothing of the service's environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.contract import strict_json
from scow.contract.errors import CniFailed
from scow.network.cni.configuration import TYPE

_ANSWER_MOST = 1 << 20
_TOLD = 400
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Attachment:
    """What a plugin is called for.

    Attributes:
        container_id: Names the container to plugins.
        netns: Path of its namespace; empty where that has gone.
        interface: Name of the link in there.
        args: CNI_ARGS, for plugins of old.
        capabilities: What plugins that declare them are given, by the convention of capabilities: "portMappings" ...
    """

    container_id: str
    netns: str
    interface: str
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return the variables that describe it."""
        return {
            "CNI_CONTAINERID": self.container_id,
            "CNI_NETNS": self.netns,
            "CNI_IFNAME": self.interface,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in self.args.items()),
        }


class Plugins:
    """Finds and executes plugins.

    Args:
        folders: Where they are, in order.
        seconds: That one may take.
    """

    def __init__(self, folders: Sequence[Path], seconds: float) -> None:
        self._folders = folders
        self._seconds = seconds

    def find(self, kind: str) -> Path:
        """Return the plugin of a type.

        Raises:
            CniFailed: There is none.
        """
        for folder in self._folders:
            path = folder / kind
            if os.access(path, os.X_OK) and path.is_file():
                return path
        raise _failed(
            kind,
            f"failed to find plugin {kind!r} in {', '.join(map(str, self._folders))}",
            "install it, or set network.cni_bin_dirs",
        )

    def all(self) -> dict[str, Path]:
        """Return all plugins by their types. Blocks."""
        found: dict[str, Path] = {}
        for folder in self._folders:
            with contextlib.suppress(OSError):
                for path in folder.iterdir():
                    usable = TYPE.fullmatch(path.name) and os.access(path, os.X_OK)
                    if usable and path.is_file():
                        found.setdefault(path.name, path)
        return found

    async def call(
        self, command: str, kind: str, attachment: Attachment | None, config: bytes
    ) -> dict[str, Any]:
        """Execute a plugin; return its answer, empty for none.

        Args:
            command: "ADD" ...
            kind: Its type.
            attachment: What for; None for "GC", "STATUS" and "VERSION".
            config: Its standard input.

        Raises:
            CniFailed: It is missing, refuses, crashes, takes too long, or answers with something else than JSON.
        """
        path = self.find(kind)
        folders = ":".join(map(str, self._folders))
        variables = {"PATH": _PATH, "CNI_COMMAND": command, "CNI_PATH": folders}
        if attachment is not None:
            variables.update(attachment.variables())
        code, answer, told = await self._execute(path, variables, config, kind)
        if code != 0:
            raise _refused(kind, command, code, answer, told)
        if not answer.strip():
            return {}
        try:
            found = strict_json.loads(answer)
        except ValueError as error:
            raise _failed(kind, f"plugin {kind} answers {command} with rubbish: {error}") from error
        if not isinstance(found, dict):
            raise _failed(kind, f"plugin {kind} answers {command} with no object of JSON")
        return found

    async def _execute(
        self, path: Path, variables: dict[str, str], config: bytes, kind: str
    ) -> tuple[int, bytes, bytes]:
        # In memory rather than by pipes: what it has started may hold those open for ever.
        with (
            _memory(config) as given,
            _memory(room=_ANSWER_MOST) as said,
            _memory(room=_ANSWER_MOST) as told,
        ):
            try:
                process = await asyncio.create_subprocess_exec(
                    path,
                    stdin=given,
                    stdout=said,
                    stderr=told,
                    env=variables,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise _failed(
                    kind, f"plugin {kind} cannot be executed: {error.strerror}"
                ) from error
            try:
                async with asyncio.timeout(self._seconds):
                    code = await process.wait()
            except TimeoutError:
                raise _failed(
                    kind,
                    f"plugin {kind} took longer than {self._seconds:g} seconds",
                    "see what it waits for, or set network.cni_seconds",
                ) from None
            finally:
                # Whatever it has started, too.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            answer = _content(said)
            if len(answer) == _ANSWER_MOST:
                raise _failed(kind, f"plugin {kind} answers with {_ANSWER_MOST} bytes or more")
            return code, answer, _content(told)


@contextlib.contextmanager
def _memory(content: bytes = b"", room: int = 0) -> Iterator[int]:
    """Open a file in memory that has a content, or that takes as much as there is room for."""
    descriptor = os.memfd_create("cni", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, room)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    """Return what was written to a file with room; no text ends with NUL."""
    return os.pread(descriptor, _ANSWER_MOST, 0).rstrip(b"\0")


def _refused(kind: str, command: str, code: int, answer: bytes, told: bytes) -> CniFailed:
    """Return the error for an answer that is one (section 5, "Error")."""
    try:
        found = strict_json.loads(answer)
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("msg"), str):
        details = found.get("details")
        text = (
            f"{found['msg']}: {details}" if isinstance(details, str) and details else found["msg"]
        )
        number = found.get("code")
    else:
        text = (told or answer).decode("utf-8", "replace").strip() or "it says nothing"
        number = code
    how = f"was killed by signal {-code}" if code < 0 else f"refuses {command}"
    return CniFailed(
        f"plugin {kind} {how}: {text[:_TOLD]}", what="CNI plugin", which=kind, code=str(number)
    )


def _failed(
    kind: str, message: str, do: str = "see whether it is installed as it must be"
) -> CniFailed:
    return CniFailed(message, what="CNI plugin", which=kind, do=do)
