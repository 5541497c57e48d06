"""Flags as data, parsed as Docker parses them (the rules of Go's pflag).

Not argparse: importing it costs as much as starting the interpreter, and its rules differ from what a Docker
user types: `--rm=false`, `-it`, `-p8080:80`, options that end at the image, no abbreviated names.

A verb is a value::

    Verb(
        "ps",
        "[OPTIONS]",
        "List containers",
        run,
        flags=(Flag("all", "a", help="Show all containers (default shows just running)"),),
        most=0,
    )

where `run(options, context)` returns the exit code. `options.all` has the flag's value (dashes become
underscores), `options.args` the positional arguments, `options.given` the names of the flags that were there.
"""

from __future__ import annotations

import os

TYPE_CHECKING = (
    False  # typing itself is not imported: it costs a third of what the interpreter's start does
)
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from scow.cli.context import Context

# The exit code of a wrong flag, of every verb, as in Docker.
USAGE = 125

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

# What 64 bits with a sign have room for.
_ROOM = 1 << 63


class UsageError(Exception):
    """The command line is wrong. Printed with the usage of the verb.

    Args:
        message: One sentence.
        status: Exit code.
    """

    def __init__(self, message: str, status: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Refused(Exception):
    """The command line cannot do what is asked. Printed without the usage of the verb.

    Args:
        message: What and why.
        code: The exit code; None means the verb's.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class HelpAsked(Exception):
    """`--help` was among the flags."""


class Flag:
    """One flag.

    Args:
        name: Long name without dashes, "env-file".
        short: One letter, or empty.
        kind: "bool", "string", "int", or "list" (may be given several times).
        help: What it does, for `--help`.
        default: Its value when it is not given, a text as it would be given; None means false, an empty string, 0 or
            an empty list.
        shows: What `--help` calls the value; empty means the kind.
        parse: Makes a value of the text, of each text in a list; raises ValueError with a sentence.
        optional: The value when the flag is given without one (`--flag` alone).
    """

    __slots__ = ("default", "help", "kind", "name", "optional", "parse", "short", "shows")

    def __init__(
        self,
        name: str,
        short: str = "",
        kind: str = "bool",
        help: str = "",  # noqa: A002  the natural word
        default: Any = None,
        shows: str = "",
        parse: Callable[[str], Any] | None = None,
        optional: str | None = None,
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.default = default
        self.shows = shows
        self.parse = parse
        self.optional = "true" if kind == "bool" else optional

    @property
    def title(self) -> str:
        """The flag as messages call it, "-p, --publish"."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    def initial(self) -> Any:
        """Return the value of a flag that is not given."""
        if self.kind == "list":
            return list(self.default or ())
        if isinstance(self.default, str):
            return self.convert(self.default)
        if self.default is not None:
            return self.default
        return {"bool": False, "int": 0}.get(self.kind, "")

    def convert(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ValueError: The value is invalid; the message says why.
        """
        if self.kind == "bool":
            if text in _TRUE or text in _FALSE:
                return text in _TRUE
            raise ValueError("invalid syntax: use true or false")
        value = self._parsed(text)
        if self.kind == "int" and isinstance(value, int) and not -_ROOM <= value < _ROOM:
            raise ValueError("value out of range")
        return value

    def _parsed(self, text: str) -> Any:
        if self.parse is not None:
            return self.parse(text)
        if self.kind == "int":
            try:
                return int(text, 10)
            except ValueError:
                raise ValueError("invalid syntax: use a whole number") from None
        return text


class Verb:
    """One command.

    Args:
        path: Its words, "network ls".
        usage: What follows them in the usage line.
        summary: One sentence.
        run: Does it, and returns the exit code.
        flags: Its flags; `--help` is there by itself.
        least: Fewest positional arguments.
        most: Most of them; None means any number.
        interspersed: Flags may follow positional arguments; not so where those are a command line.
        failure: Exit code when the engine refuses.
        reads_input: Tells whether it reads standard input with these options.
    """

    __slots__ = (
        "failure",
        "flags",
        "interspersed",
        "least",
        "most",
        "path",
        "reads_input",
        "run",
        "summary",
        "usage",
    )

    def __init__(
        self,
        path: str,
        usage: str,
        summary: str,
        run: Callable[[Options, Context], int],
        *,
        flags: Sequence[Flag] = (),
        least: int = 0,
        most: int | None = None,
        interspersed: bool = True,
        failure: int = 1,
        reads_input: Callable[[Options], bool] = lambda options: False,
    ) -> None:
        self.path = path
        self.usage = usage
        self.summary = summary
        self.run = run
        self.flags = tuple(flags)
        self.least = least
        self.most = most
        self.interspersed = interspersed
        self.failure = failure
        self.reads_input = reads_input


class Options:
    """The values of a command line: an attribute for each flag, and `args`.

    Attributes:
        args: Positional arguments.
        given: Names of the flags that were given.
    """

    args: list[str]
    given: set[str]

    def __init__(self, flags: Sequence[Flag] = ()) -> None:
        self.args = []
        self.given = set()
        for flag in flags:
            setattr(self, attribute(flag.name), flag.initial())

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def attribute(name: str) -> str:
    """Return the attribute of Options that has a flag's value."""
    return name.replace("-", "_")


def parse(flags: Sequence[Flag], arguments: Sequence[str], *, interspersed: bool = True) -> Options:
    """Return the values of a command line.

    Raises:
        UsageError: An unknown flag, a missing or a wrong value.
        HelpAsked: `--help` is among the flags.
    """
    return _Parser(flags, interspersed).parse(list(arguments))


def check_count(verb: Verb, words: str, count: int) -> None:
    """Check the number of positional arguments.

    Raises:
        UsageError: Too few or too many.
    """
    if count >= verb.least and (verb.most is None or count <= verb.most):
        return
    if verb.most == 0:
        wanted = "accepts no arguments"
    else:
        bound = verb.least if count < verb.least else verb.most
        how = "at least" if verb.most is None else "at most" if count > verb.least else "at least"
        if verb.least == verb.most:
            how = ""
        noun = "argument" if bound == 1 else "arguments"
        wanted = " ".join(part for part in ("requires", how, str(bound), noun) if part)
    raise UsageError(f"'scow {words}' {wanted}", 1)  # Docker's code, of `run` too


class _Parser:
    def __init__(self, flags: Sequence[Flag], interspersed: bool) -> None:
        self._long = {flag.name: flag for flag in flags}
        self._short = {flag.short: flag for flag in flags if flag.short}
        self._interspersed = interspersed
        self._options = Options(flags)

    def parse(self, words: list[str]) -> Options:
        options = self._options
        while words:
            word = words.pop(0)
            if word == "--":
                options.args += words
                break
            if word.startswith("--"):
                self._parse_long(word, words)
            elif word.startswith("-") and word != "-":
                self._parse_short(word, words)
            elif self._interspersed:
                options.args.append(word)
            else:
                options.args += [word, *words]
                break
        return options

    def _parse_long(self, word: str, words: list[str]) -> None:
        name, has_value, value = word[2:].partition("=")
        flag = self._long.get(name)
        if flag is None:
            if name == "help":
                raise HelpAsked
            raise UsageError(f"unknown flag: --{name}")
        if not has_value:
            if flag.optional is not None:
                value = flag.optional
            elif words:
                value = words.pop(0)
            else:
                raise UsageError(f"flag needs an argument: --{name}")
        self._set(flag, value)

    def _parse_short(self, word: str, words: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._short.get(letter)
            if flag is None:
                if letter == "h":
                    raise HelpAsked
                raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
            if letters.startswith("="):
                value, letters = letters[1:], ""
            elif flag.optional is not None:
                value = flag.optional
            elif letters:
                value, letters = letters, ""
            elif words:
                value = words.pop(0)
            else:
                raise UsageError(f"flag needs an argument: {letter!r} in {word}")
            self._set(flag, value)

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = flag.convert(text)
        except ValueError as error:
            raise UsageError(
                f'invalid argument "{text}" for "{flag.title}" flag: {error}'
            ) from None
        self._options.given.add(flag.name)
        name = attribute(flag.name)
        if flag.kind == "list":
            getattr(self._options, name).append(value)
        else:
            setattr(self._options, name, value)


def usage_line(verb: Verb, words: str) -> str:
    """Return "Usage:  scow ps [OPTIONS]"."""
    return f"Usage:  scow {words} {verb.usage}".rstrip()


def help_text(verb: Verb, words: str, aliases: Sequence[str] = ()) -> str:
    """Return what `scow VERB --help` prints."""
    parts = [usage_line(verb, words), "", verb.summary]
    if len(aliases) > 1:
        parts += ["", "Aliases:", "  " + ", ".join(f"scow {alias}" for alias in aliases)]
    if verb.flags:
        parts += ["", "Options:", *flag_lines(verb.flags)]
    return "\n".join(parts)


def flag_lines(flags: Sequence[Flag]) -> list[str]:
    """Return the lines that describe flags, in two columns as wide as the terminal."""
    import textwrap

    heads = []
    for flag in sorted(flags, key=lambda flag: flag.name):
        short = f"-{flag.short}, " if flag.short else "    "
        kind = "" if flag.kind == "bool" else " " + (flag.shows or flag.kind)
        heads.append((f"  {short}--{flag.name}{kind}", flag))
    width = max(len(head) for head, _ in heads) + 3
    room = max(24, _columns() - width)
    lines = []
    for head, flag in heads:
        text = flag.help
        if flag.default not in (None, False, "", 0):
            shown = f'"{flag.default}"' if flag.kind == "string" else str(flag.default).lower()
            text = f"{text} (default {shown})"
        first, *rest = textwrap.wrap(text, room) or [""]
        lines.append(f"{head:<{width}}{first}")
        lines += [" " * width + line for line in rest]
    return lines


def _columns() -> int:
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 80
