"""A command that is executed in a container to find out whether it is well."""

from __future__ import annotations

import asyncio
import secrets

from scow.api.container.v1 import container_pb2 as pb
from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.container.health.checks import Check
from scow.container.runtime.shim import Shim
from scow.container.spec import process as defaults
from scow.contract.errors import ScowError

OUTPUT_MAX = 4096
# Of a round that failed without an exit code, as Docker has it.
NONE = -1


async def run(described: pb.Container, shim: Shim, check: Check, timeout: int) -> tuple[int, str]:
    """Execute a check's command; return its exit code and what it printed.

    The session ends with its connection, so a command that hangs goes when this returns, when it is cancelled, and
    when this service is killed.

    Args:
        described: The container.
        shim: Its shim.
        check: The check.
        timeout: Nanoseconds.
    """
    try:
        async with asyncio.timeout(timeout / 1e9):
            return await _run(described, shim, check)
    except TimeoutError:
        return NONE, f"Health check exceeded timeout ({timeout / 1e9:g}s)"
    except ScowError as error:
        return NONE, error.message[:OUTPUT_MAX]


async def _run(described: pb.Container, shim: Shim, check: Check) -> tuple[int, str]:
    opened = shim_pb.ExecRequest.Open(
        exec_id=f"health-{secrets.token_hex(16)}",
        process=shim_pb.Process(
            args=check.arguments,
            env=defaults.process_env(described, tty=False),
            cwd=described.working_dir,
            user=described.user,
            add_groups=described.config.group_add,
        ),
        bound=True,
    )
    stream = await shim.exec(opened)
    output, code = bytearray(), NONE
    try:
        while (message := await stream.read()) is not None:
            kind = message.WhichOneof("message")
            if kind in ("stdout", "stderr"):
                output += getattr(message, kind)[: OUTPUT_MAX - len(output)]
            elif kind == "exit":
                code = message.exit.code
    finally:
        stream.cancel()
    return code, output.decode("utf-8", "replace")
