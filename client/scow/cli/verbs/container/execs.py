"""`execs ls`, `execs inspect`, `execs kill` and `execs rm`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.container.v1.execs_pb2 import ExecSession
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.ID}}\t{{.Container}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.PID}}"
_HEADERS = {
    "ID": "EXEC ID",
    "Container": "CONTAINER",
    "Command": "COMMAND",
    "RunningFor": "STARTED",
    "Status": "STATUS",
    "PID": "PID",
    "User": "USER",
}
_COMMAND_WIDTH = 30


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.ID}}" if options.quiet else "")
    container = options.args[0] if options.args else ""
    found = context.client.containers.execs(container, ended=options.all)
    listing.print([_row(each, full=options.no_trunc) for each in found], context)
    return 0


def _row(session: ExecSession, *, full: bool) -> Row:
    import time

    from scow.cli.output.table import ellipsis, short_id
    from scow.words.template import Row
    from scow.words.units import human_duration

    command = " ".join(session.args)
    seconds = time.time() - session.started_at.ToNanoseconds() / 1e9
    return Row(
        {
            "ID": session.exec_id if full else short_id(session.exec_id),
            "Container": session.container_name,
            "Command": f'"{command if full else ellipsis(command, _COMMAND_WIDTH)}"',
            "RunningFor": f"{human_duration(max(0.0, seconds))} ago",
            "Status": "Running" if session.running else f"Exited ({session.exit_code})",
            "PID": str(session.pid),
            "User": session.user,
        }
    )


def _inspect(options: Options, context: Context) -> int:
    import json

    from google.protobuf.json_format import MessageToDict

    found = []

    def inspect(name: str) -> None:
        session = context.client.containers.inspect_exec(name)
        found.append(MessageToDict(session, always_print_fields_with_no_presence=True))

    status = context.each(options.args, inspect, in_turn=True)
    context.block(json.dumps(found, indent=4))
    return status


def _kill(options: Options, context: Context) -> int:
    def kill(name: str) -> str:
        context.client.containers.kill_exec(name, options.signal)
        return name

    return context.each(options.args, kill)


def _remove(options: Options, context: Context) -> int:
    def remove(name: str) -> str:
        context.client.containers.remove_exec(name, force=options.force)
        return name

    return context.each(options.args, remove)


VERBS = (
    Verb(
        "execs ls",
        "[OPTIONS] [CONTAINER]",
        "List exec sessions, of one container or of all",
        _list,
        flags=(
            Flag("all", "a", help="Show also those that have ended"),
            FORMAT,
            NO_TRUNC,
            Flag("quiet", "q", help="Only display ids"),
        ),
        most=1,
    ),
    Verb(
        "execs inspect",
        "EXEC [EXEC...]",
        "Display detailed information on one or more exec sessions",
        _inspect,
        least=1,
    ),
    Verb(
        "execs kill",
        "[OPTIONS] EXEC [EXEC...]",
        "Send a signal to the processes of exec sessions",
        _kill,
        flags=(Flag("signal", "s", "string", "Signal to send to the process"),),
        least=1,
    ),
    Verb(
        "execs rm",
        "[OPTIONS] EXEC [EXEC...]",
        "Forget exec sessions that have ended",
        _remove,
        flags=(Flag("force", "f", help="Kill those that run first"),),
        least=1,
    ),
)
