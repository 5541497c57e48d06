"""The dispatcher: finds the verb, parses its flags, runs it, and turns errors into exit codes.

How a verb plugs in (see scow.cli.flags.parser for `Verb` and `Flag`, scow.cli.context for `Context`):

- `index.COMMANDS` has its words, the module, and one line of help. The index is data: `scow --help`, usage errors of
  the top level and wrong commands import no verb.
- The module `scow/cli/verbs/<module>.py` has `VERBS: tuple[Verb, ...]`. Only the module of the chosen verb is imported,
  and it imports neither grpc nor protobuf nor asyncio nor scow.contract.errors at its top: `run` does, or rather
  `context.client`. So a wrong flag costs no more than the interpreter.
- `run(options, context)` returns the exit code, raises `UsageError` for what is wrong in the arguments
  themselves, and lets ScowError pass: it is printed as "scow: <message>: <what to do>" with exit code `Verb.failure`.

Exit codes: 0; 1 for a refusal; 125 for wrong flags, and for a refusal of run; 126 and 127 for a
command that cannot be executed or is not there; 128+n for a signal; otherwise the container's own.
"""

from __future__ import annotations

import os
import sys

from scow.cli import index
from scow.cli.context import Context
from scow.cli.flags.parser import (
    Flag,
    HelpAsked,
    Options,
    Refused,
    UsageError,
    Verb,
    check_count,
    flag_lines,
    help_text,
    parse,
    usage_line,
)
from scow.cli.io.terminal_text import one_line, protect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    # Called when the arguments are right and the verb is about to run: does it read standard input?
    Begin = Callable[[bool], None]

_GLOBAL = (
    Flag("host", "H", "string", "Engine to connect to: unix://RUN_DIR, the folder of its sockets"),
    Flag("version", "v", help="Print version information and quit"),
)
_INTERRUPTED = 130
# How alike what was typed and what was meant are, as difflib counts: `rnu` and `run` are 0.67.
_SLIP = 0.65


def main() -> NoReturn:
    """Run the command line of this process, and end the process."""
    from scow.cli import startup

    startup.prepare()
    startup.leave(startup.outcome(lambda: command(sys.argv[1:])))


class ByItself(BaseException):
    """Raised by `begin`: the command has to run in the process that the user started (see scow.cli.resident)."""


def _begin(reads_input: bool) -> None:
    """Go on: this is the process that the user started."""


def command(arguments: Sequence[str], begin: Begin = _begin) -> int:
    """Run a command line and return its exit code.

    Args:
        arguments: The words after `scow`.
        begin: Called before the verb runs; until then nothing was done but printing.

    Raises:
        ByItself: By `begin`.
    """
    protect()
    try:
        return _main(list(arguments), begin)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader went away; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13
    except OSError as error:  # while printing; those of a verb are its own
        os.write(2, f"scow: {error}\n".encode())
        return 1


def _main(arguments: list[str], begin: Begin) -> int:
    try:
        options = parse(_GLOBAL, arguments, interspersed=False)
    except HelpAsked:
        options = Options(_GLOBAL)
    except UsageError as error:
        return _complain(error, "Usage:  scow [OPTIONS] COMMAND [ARG...]", "")
    if options.version:
        from scow.cli.about import VERSION

        print(f"scow version {VERSION}")
        return 0
    if not options.args:
        print(_overview())
        return 0
    return _dispatch(options.args, Context(options.host), begin)


def _dispatch(args: list[str], context: Context, begin: Begin) -> int:
    words, rest = args[0], args[1:]
    group, count = index.group_of(args)
    if group:
        rest = args[count:]
        if not rest or rest[0] in ("--help", "-h"):
            print(_group_help(group))
            return 0
        words, rest = f"{group} {rest[0]}", rest[1:]
    elif rest and index.resolve(f"{words} {rest[0]}"):
        # A command that has further ones: `port` and `port add`.
        words, rest = f"{words} {rest[0]}", rest[1:]
    if words == "help":
        return _dispatch([*rest, "--help"], context, begin) if rest else _main(["--help"], begin)
    command = index.resolve(words)
    if command is None:
        return _unknown(words)
    verb = _load(command)
    try:
        options = parse(verb.flags, rest, interspersed=verb.interspersed)
        check_count(verb, words, len(options.args))
        begin(verb.reads_input(options))
        return _run(verb, options, context)
    except HelpAsked:
        print(help_text(verb, words, index.aliases(command)))
        return 0
    except UsageError as error:
        return _complain(error, usage_line(verb, words), words)


def _run(verb: Verb, options: Options, context: Context) -> int:
    try:
        return verb.run(options, context)
    except (UsageError, BrokenPipeError):
        raise
    except Exception as error:
        if not _is_told(error):
            raise
        context.fail(error)
        return _status(verb, error)
    finally:
        context.close()


def _is_told(error: Exception) -> bool:
    """Tell whether an error is one for people; another is a bug, and shows where."""
    if isinstance(error, (Refused, OSError)):
        return True
    from scow.contract.errors import ScowError

    return isinstance(error, ScowError)


def _status(verb: Verb, error: Exception) -> int:
    """Return the exit code of a verb that failed; what executes a command tells why it could not."""
    if isinstance(error, Refused) and error.code is not None:
        return error.code
    reason = getattr(error, "reason", "")
    if verb.path in ("run", "exec"):
        return {"COMMAND_NOT_FOUND": 127, "COMMAND_NOT_EXECUTABLE": 126}.get(reason, verb.failure)
    return verb.failure


def _load(command: str) -> Verb:
    module = __import__(f"scow.cli.verbs.{index.COMMANDS[command][0]}", fromlist=["VERBS"])
    verbs: tuple[Verb, ...] = module.VERBS
    return next(verb for verb in verbs if verb.path == command)


def _complain(error: UsageError, usage: str, words: str) -> int:
    more = f"{words} --help" if words else "--help"
    message = one_line(error.message, sys.stderr)
    print(f"scow: {message}\n\n{usage}\n\nSee 'scow {more}'.", file=sys.stderr)
    return error.status


def _unknown(words: str) -> int:
    near = _near(words)
    hint = f": did you mean 'scow {near}'?" if near else ""
    group = words.rpartition(" ")[0]
    more = f"{group} --help" if group else "--help"
    words, more = one_line(words, sys.stderr), one_line(more, sys.stderr)
    print(f"scow: unknown command: scow {words}{hint}\n\nSee 'scow {more}'.", file=sys.stderr)
    return 1


def _near(words: str) -> str:
    """Return the command that was probably meant: a slip of the fingers away, in the same group; empty for none."""
    import difflib

    group, space, word = words.rpartition(" ")
    if word in index.DOCKERS_OWN:
        return ""
    known = (*index.COMMANDS, *index.ALIASES, *index.GROUPS)
    mates = [each.rpartition(" ")[2] for each in known if each.rpartition(" ")[0] == group]
    near = difflib.get_close_matches(word, mates, n=1, cutoff=_SLIP)
    return f"{group}{space}{near[0]}" if near else ""


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows) + 2
    return [f"  {name:<{width}}{summary}" for name, summary in rows]


def _overview() -> str:
    alone = [name for name in index.COMMANDS if " " not in name and name not in index.COMMON]
    return "\n".join(
        [
            "Usage:  scow [OPTIONS] COMMAND",
            "",
            "A container engine for Linux whose parts are gRPC services",
            "",
            "Common Commands:",
            *_table([(name, index.COMMANDS[name][1]) for name in index.COMMON]),
            "",
            "Management Commands:",
            *_table([(name, text) for name, text in index.GROUPS.items() if " " not in name]),
            "",
            "Commands:",
            *_table([(name, index.COMMANDS[name][1]) for name in sorted(alone)]),
            "",
            "Global Options:",
            *flag_lines(_GLOBAL),
            "",
            "Run 'scow COMMAND --help' for more information on a command.",
        ]
    )


def _group_help(group: str) -> str:
    return "\n".join(
        [
            f"Usage:  scow {group} COMMAND",
            "",
            index.GROUPS[group],
            "",
            "Commands:",
            *_table(index.members(group)),
            "",
            f"Run 'scow {group} COMMAND --help' for more information on a command.",
        ]
    )


if __name__ == "__main__":
    main()
