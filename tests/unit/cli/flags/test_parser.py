"""Flags are parsed as Docker parses them."""

from __future__ import annotations

import pytest

from scow.cli.flags.parser import (
    Flag,
    HelpAsked,
    Options,
    UsageError,
    Verb,
    check_count,
    flag_lines,
    help_text,
    parse,
    usage_line,
)


def _port(text: str) -> int:
    if not text.isdigit():
        raise ValueError("use digits")
    return int(text)


FLAGS = (
    Flag("interactive", "i", help="Keep STDIN open"),
    Flag("tty", "t"),
    Flag("rm"),
    Flag("sig-proxy", default=True),
    Flag("name", "n", "string"),
    Flag("publish", "p", "list", parse=_port),
    Flag("count", "c", "int", default=-1),
    Flag("color", kind="string", optional="always"),
)


@pytest.mark.parametrize(
    ("arguments", "attribute", "value"),
    [
        ([], "interactive", False),
        ([], "sig_proxy", True),
        ([], "name", ""),
        ([], "publish", []),
        ([], "count", -1),
        (["-it"], "tty", True),
        (["-ti"], "interactive", True),
        (["--rm"], "rm", True),
        (["--rm=false"], "rm", False),
        (["--sig-proxy=0"], "sig_proxy", False),
        (["-i=false"], "interactive", False),
        (["--name", "x"], "name", "x"),
        (["--name=x=y"], "name", "x=y"),
        (["--name="], "name", ""),
        (["-n", "x"], "name", "x"),
        (["-nx"], "name", "x"),
        (["-n=x"], "name", "x"),
        (["-itn", "x"], "name", "x"),
        (["--name", "-x"], "name", "-x"),
        (["-p", "1", "-p2", "--publish=3"], "publish", [1, 2, 3]),
        (["--count", "-5"], "count", -5),
        (["--color"], "color", "always"),
        (["--color=never"], "color", "never"),
    ],
)
def test_values(arguments: list[str], attribute: str, value: object) -> None:
    assert getattr(parse(FLAGS, arguments), attribute) == value


def test_options_end_at_the_first_argument_where_a_command_follows() -> None:
    options = parse(FLAGS, ["-i", "busybox", "sh", "-t"], interspersed=False)
    assert options.args == ["busybox", "sh", "-t"]
    assert not options.tty


def test_options_may_follow_arguments_elsewhere() -> None:
    options = parse(FLAGS, ["web", "-t", "db"])
    assert (options.args, options.tty) == (["web", "db"], True)


def test_two_dashes_end_options_and_one_is_an_argument() -> None:
    assert parse(FLAGS, ["-", "--", "-t"]).args == ["-", "-t"]


def test_tells_which_flags_were_given() -> None:
    assert parse(FLAGS, ["-i", "--name", ""]).given == {"interactive", "name"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-ix"], "unknown shorthand flag: 'x' in -ix"),
        (["--name"], "flag needs an argument: --name"),
        (["-n"], "flag needs an argument: 'n' in -n"),
        (["--rm=maybe"], 'invalid argument "maybe" for "--rm" flag: invalid syntax: use true or'),
        (["-c", "x"], 'invalid argument "x" for "-c, --count" flag: invalid syntax: use a whole'),
        (["-p", "x"], 'invalid argument "x" for "-p, --publish" flag: use digits'),
        (["--nam", "x"], "unknown flag: --nam"),
    ],
)
def test_wrong_flags(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, arguments)
    assert caught.value.message.startswith(message)
    assert caught.value.status == 125


@pytest.mark.parametrize("arguments", [["--help"], ["-i", "--help"], ["-h"]])
def test_help(arguments: list[str]) -> None:
    with pytest.raises(HelpAsked):
        parse(FLAGS, arguments)


def test_a_flag_may_take_the_letter_of_help() -> None:
    flags = (Flag("hostname", "h", "string"),)
    assert parse(flags, ["-h", "web"]).hostname == "web"


def _verb(least: int, most: int | None, failure: int = 1) -> Verb:
    def run(options: Options, context: object) -> int:
        return 0

    return Verb("v", "X", "Does.", run, flags=FLAGS, least=least, most=most, failure=failure)


@pytest.mark.parametrize(
    ("least", "most", "count", "message"),
    [
        (0, 0, 1, "'scow v' accepts no arguments"),
        (1, 1, 0, "'scow v' requires 1 argument"),
        (2, 2, 3, "'scow v' requires 2 arguments"),
        (1, None, 0, "'scow v' requires at least 1 argument"),
        (0, 1, 2, "'scow v' requires at most 1 argument"),
        (1, 2, 0, "'scow v' requires at least 1 argument"),
    ],
)
def test_wrong_counts(least: int, most: int | None, count: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_count(_verb(least, most), "v", count)
    assert (caught.value.message, caught.value.status) == (message, 1)


def test_help_text() -> None:
    text = help_text(_verb(1, 1), "container v", ["container v", "v"])
    assert usage_line(_verb(1, 1), "container v") == "Usage:  scow container v X"
    assert "Aliases:\n  scow container v, scow v" in text
    assert "  -i, --interactive" in text
    assert "--sig-proxy" in text
    assert "(default true)" in text


def test_flags_are_sorted_and_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = flag_lines((Flag("zeta", help="Z " * 60), Flag("alpha", "a", "string", "A")))
    assert lines[0] == "  -a, --alpha string   A"
    assert lines[1].startswith("      --zeta           Z Z")
    assert lines[2].startswith(" " * 23 + "Z")


def test_whole_numbers_have_64_bits() -> None:
    flags = (Flag("n", kind="int"),)
    assert parse(flags, ["--n=-9223372036854775808"]).n == -(1 << 63)
    with pytest.raises(UsageError, match="out of range"):
        parse(flags, ["--n=9223372036854775808"])
