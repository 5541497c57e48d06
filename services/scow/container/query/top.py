"""The processes of a container, as the host's ps(1) lists them.

ps lists all processes of the host, and the rows of the container's PIDs are kept, as in Docker: so every option that
chooses columns or an order means what it means to ps.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Sequence

from scow.api.container.v1 import container_pb2 as pb
from scow.container.shared import Shared
from scow.contract.errors import ContainerNotRunning, InvalidArgument, KernelUnsupported

_DEFAULT = ("-ef",)
_PID = "PID"
_SECONDS = 30.0
# Of what ps prints: all command lines of a host fit many times.
_LARGEST = 64 << 20
_MOST_ARGUMENTS, _LONGEST_ARGUMENT = 64, 4096


async def top(shared: Shared, request: pb.TopRequest) -> pb.TopResponse:
    """List the processes of a container; see the contract.

    Raises:
        ContainerNotFound, ContainerNotRunning: There is nothing to list.
        InvalidArgument: ps refuses its options, or prints no PIDs.
        KernelUnsupported: The host has no ps.
    """
    check(request.ps_args)
    entry = shared.containers.find(request.container)
    if not entry.alive or entry.shim is None:
        raise ContainerNotRunning(
            f"container {entry.id} is not running",
            what="container",
            which=entry.described.name,
            do=f"start it first: scow start {entry.described.name}",
        )
    text = await _ps(request.ps_args or _DEFAULT)
    return select(text, await entry.shim.processes())


def check(arguments: Sequence[str]) -> None:
    """Refuse options that are too many, or with which the column of the PIDs would not be one.

    Raises:
        InvalidArgument: As said.
    """
    if len(arguments) > _MOST_ARGUMENTS or any(len(a) > _LONGEST_ARGUMENT for a in arguments):
        raise _refused("too many or too long options of ps", "give fewer columns")
    if any("\0" in argument for argument in arguments):
        raise _refused("options of ps cannot have a NUL", "leave it out")
    for argument in arguments:
        for column in argument.replace(",", " ").split():
            *_, name, title = ("", *column.split("="))
            if title.startswith(_PID) and name.lower().removeprefix("-o") not in ("", "pid"):
                raise _refused(f'specifying "{column}" is not allowed', "give another title")


def select(text: str, pids: set[int]) -> pb.TopResponse:
    """Return the rows of ps's output that are of some processes.

    Args:
        text: What ps printed, its titles first.
        pids: Of the processes.

    Raises:
        InvalidArgument: There is no column of PIDs, or it has something else.
    """
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    if _PID not in titles:
        raise _refused("Couldn't find PID field in ps output", "have ps print the column pid")
    column, wanted = titles.index(_PID), False
    response = pb.TopResponse(titles=titles)
    for line in lines[1:]:
        # The last column has spaces of its own.
        values = line.split(None, len(titles) - 1)
        if len(values) <= column:
            continue
        if values[column] != "-":  # a thread: of the process above it
            wanted = _number(values[column]) in pids
        if wanted:
            response.processes.add(values=[" ".join(value.split()) for value in values])
    return response


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _refused(f"unexpected pid '{text[:64]}'", "have ps print the column pid as it is")
    return int(text)


async def _ps(arguments: Iterable[str]) -> str:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        process = await asyncio.create_subprocess_exec(
            *("ps", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except FileNotFoundError as error:
        raise KernelUnsupported(
            "the host has no ps", what="program", which="ps", do="install procps"
        ) from error
    try:
        async with asyncio.timeout(_SECONDS):
            output, errors = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            code = await process.wait()
    except TimeoutError as error:
        raise _refused(
            f"error running ps: no end after {_SECONDS:.0f} seconds", "give options that end"
        ) from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if code:
        # The rest is ps's own help.
        said = next(iter(errors.strip().splitlines()), f"exit status {code}")
        raise _refused(f"ps: {said[:1000]}", "see ps(1)")
    return output


async def _read(stream: asyncio.StreamReader | None) -> str:
    found = bytearray()
    while stream is not None and (some := await stream.read(1 << 16)):
        found += some
        if len(found) > _LARGEST:
            raise _refused("error running ps: it prints too much", "give fewer columns")
    return found.decode(errors="replace")


def _refused(message: str, do: str) -> InvalidArgument:
    return InvalidArgument(message, what="ps options", which="", do=do)
