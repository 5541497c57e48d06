"""`stop`, `restart`, `kill`, `pause`, `unpause`, `rename`, `rm` and `wait`."""

from __future__ import annotations

from scow.cli.flags import refused
from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_SIGNAL = Flag("signal", "s", "string", "Signal to send to the container")
_TIMEOUT = Flag("timeout", "t", "int", "Seconds to wait before killing the container")
# Its name before Docker 28.
_TIME = Flag("time", kind="int", help="Same as --timeout")


def _grace(options: Options) -> int | None:
    if "timeout" in options.given:
        return int(options.timeout)
    return int(options.time) if "time" in options.given else None


def _stop(options: Options, context: Context) -> int:
    def stop(name: str) -> str:
        context.client.containers.stop(name, grace=_grace(options), signal=options.signal)
        return name

    return context.each(options.args, stop)


def _restart(options: Options, context: Context) -> int:
    def restart(name: str) -> str:
        grace, signal = _grace(options), options.signal
        context.warn_all(
            context.client.containers.restart(name, grace=grace, signal=signal).warnings
        )
        return name

    return context.each(options.args, restart)


def _kill(options: Options, context: Context) -> int:
    def kill(name: str) -> str:
        context.client.containers.kill(name, options.signal)
        return name

    return context.each(options.args, kill)


def _pause(options: Options, context: Context) -> int:
    def pause(name: str) -> str:
        context.client.containers.pause(name)
        return name

    return context.each(options.args, pause)


def _rename(options: Options, context: Context) -> int:
    container, name = (text.strip() for text in options.args)
    if not container or not name:
        raise UsageError("Neither old nor new names may be empty", 1)
    context.client.containers.rename(container, name)
    return 0


def _unpause(options: Options, context: Context) -> int:
    def unpause(name: str) -> str:
        context.client.containers.unpause(name)
        return name

    return context.each(options.args, unpause)


def _remove(options: Options, context: Context) -> int:
    from scow.contract.errors import ContainerNotFound

    def remove(name: str) -> str | None:
        try:
            context.client.containers.remove(name, force=options.force, volumes=options.volumes)
        except ContainerNotFound as error:
            if not options.force:
                raise
            context.fail(error)  # told, but what was wanted is so
            return None
        return name

    return context.each(options.args, remove)


# "stopped" is Docker's "not-running".
_CONDITIONS = ("not-running", "next-exit", "removed", "created", "running", "healthy", "stopped")


def _condition(text: str) -> str:
    if text not in _CONDITIONS:
        raise ValueError(f"use one of {', '.join(_CONDITIONS)}")
    return "not-running" if text == "stopped" else text


def _wait(options: Options, context: Context) -> int:
    from scow.api.container.v1.container_pb2 import WaitCondition

    condition = WaitCondition.Value(f"WAIT_CONDITION_{options.condition.upper().replace('-', '_')}")

    def wait(name: str) -> str:
        return str(context.client.containers.wait(name, condition).exit_code)

    return context.each(options.args, wait)


_SOME = "[OPTIONS] CONTAINER [CONTAINER...]"
VERBS = (
    Verb(
        "stop",
        _SOME,
        "Stop one or more running containers",
        _stop,
        flags=(_SIGNAL, _TIMEOUT, _TIME),
        least=1,
    ),
    Verb(
        "restart",
        _SOME,
        "Restart one or more containers",
        _restart,
        flags=(_SIGNAL, _TIMEOUT, _TIME),
        least=1,
    ),
    Verb(
        "kill",
        _SOME,
        "Kill one or more running containers",
        _kill,
        flags=(_SIGNAL,),
        least=1,
    ),
    Verb(
        "pause",
        "CONTAINER [CONTAINER...]",
        "Pause all processes within one or more containers",
        _pause,
        least=1,
    ),
    Verb(
        "unpause",
        "CONTAINER [CONTAINER...]",
        "Unpause all processes within one or more containers",
        _unpause,
        least=1,
    ),
    Verb(
        "rename",
        "CONTAINER NEW_NAME",
        "Rename a container",
        _rename,
        least=2,
        most=2,
    ),
    Verb(
        "rm",
        _SOME,
        "Remove one or more containers",
        _remove,
        flags=(
            Flag("force", "f", help="Force the removal of a running container (uses SIGKILL)"),
            *refused.REMOVE,
            Flag("volumes", "v", help="Remove anonymous volumes associated with the container"),
        ),
        least=1,
    ),
    Verb(
        "wait",
        "CONTAINER [CONTAINER...]",
        "Block until one or more containers stop, then print their exit codes",
        _wait,
        flags=(
            Flag(
                "condition",
                kind="string",
                default="not-running",
                parse=_condition,
                help=f"What to wait for: {', '.join(_CONDITIONS)} (scow's own)",
            ),
        ),
        least=1,
    ),
)
