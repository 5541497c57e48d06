"""Dockerfiles as data; wrong ones, each with the exact message, are in `wrong.txt`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scow.contract.errors import InvalidDockerfile
from scow.words.dockerfile import parser, syntax
from scow.words.dockerfile.syntax import CommandLine, Heredoc, Instruction, Pair, Position
from tests.unit.words.dockerfile.cases import wrong


def parsed(*lines: str) -> syntax.Dockerfile:
    return parser.parse("\n".join(lines).encode())


def instructions(*lines: str) -> list[Instruction]:
    """Return the instructions of one stage, without their places."""
    found = parsed("FROM scratch", *lines).stages[0].instructions
    span = syntax.Span("", Position(1), 1, "")
    return [replace(instruction, span=span) for instruction in found]


def one(*lines: str) -> Instruction:
    (found,) = instructions(*lines)
    return found


SPAN = syntax.Span("", Position(1), 1, "")


def shell(text: str, *heredocs: Heredoc) -> CommandLine:
    return CommandLine((text,), heredocs=heredocs)


def test_stages() -> None:
    found = parsed(
        "ARG BASE=busybox",
        "from --platform=$BUILDPLATFORM ${BASE}:1 as Build",
        "RUN true",
        "FROM scratch",
    )
    assert [(pair.key, pair.value) for arg in found.global_args for pair in arg.pairs] == [
        ("BASE", "busybox")
    ]
    first, second = found.stages
    assert (first.base, first.name, first.platform) == ("${BASE}:1", "build", "$BUILDPLATFORM")
    assert (first.written_name, first.word_as, len(first.instructions)) == ("Build", "as", 1)
    assert (second.base, second.name, second.instructions) == ("scratch", "", ())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["# escape=`", "# syntax = docker/dockerfile:1 "],
            {"escape": "`", "syntax": "docker/dockerfile:1"},
        ),
        (["#Escape=`", "", "# syntax=x"], {"escape": "`"}),
        (["# a comment", "# escape=`"], {}),
        (["# unknown=x", "# escape=`"], {}),
        (["\ufeff# check=skip=all;error=true"], {"check": "skip=all;error=true"}),
    ],
)
def test_directives(lines: list[str], expected: dict[str, str]) -> None:
    found = parsed(*lines, "FROM x")
    assert {directive.name: directive.value for directive in found.directives} == expected
    assert found.escape == expected.get("escape", "\\")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["RUN a \\", "  b"], "a   b"),
        (["RUN a\\  ", "b"], "ab"),
        (["RUN a \\", "# a comment \\", "", "  # another", "b"], "a b"),
        (["RUN a \\\\", "USER b"], "a \\\\"),
        (["RUN \\", "a"], "a"),
        (["RUN a \\"], "a"),
        (["   RUN a # b"], "a # b"),
        (["RUN a\r", "\r"], "a"),
    ],
)
def test_continuation(lines: list[str], expected: str) -> None:
    found = instructions(*lines)[0]
    assert isinstance(found, syntax.Run)
    assert found.command == shell(expected)


def test_the_escape_character_continues_lines() -> None:
    found = parsed("# escape=`", "FROM x", "COPY a `", "  c:\\")
    (copy,) = found.stages[0].instructions
    assert isinstance(copy, syntax.Copy)
    assert (copy.sources, copy.destination) == (("a",), "c:\\")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["RUN cat <<EOF", "a", "EOF"], [Heredoc("EOF", "a\n")]),
        (["RUN 3<<-'E F'", "\ta", "\tE F"], [Heredoc("E F", "\ta\n", False, True, 3)]),
        (["RUN <<A cat <<B", "A", "A", "B"], [Heredoc("A", ""), Heredoc("B", "A\n")]),
        (["RUN <<  EOF  > x", "# no comment", "EOF"], [Heredoc("EOF", "# no comment\n")]),
        (["RUN <<E'O'F", "$a \\", "EOF"], [Heredoc("EOF", "$a \\\n", False)]),
        (["RUN \"<<EOF\" '<<EOF' \\<<EOF <<<x"], []),
        (['RUN ["<<EOF"]'], []),
        (["RUN <<$EOF", "$EOF"], [Heredoc("$EOF", "")]),
    ],
)
def test_here_documents_of_run(lines: list[str], expected: list[Heredoc]) -> None:
    found = one(*lines)
    assert isinstance(found, syntax.Run)
    assert list(found.command.heredocs) == expected


def test_here_documents_of_copy() -> None:
    found = one("COPY --chmod=755 <<a.sh x <<-'b.sh' /d/", "a", "a.sh", "\tb", "\tb.sh")
    assert isinstance(found, syntax.Copy)
    assert (found.sources, found.destination, found.chmod) == (("x",), "/d/", "755")
    assert found.documents == (Heredoc("a.sh", "a\n"), Heredoc("b.sh", "\tb\n", False, True))
    assert found.documents[1].body == "b\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ARG A B=1 C='x y' D=",
            syntax.Arg(SPAN, (Pair("A", None), Pair("B", "1"), Pair("C", "'x y'"), Pair("D", ""))),
        ),
        ("ENV A=1 B=a\\ b", syntax.Env(SPAN, (Pair("A", "1"), Pair("B", "a\\ b")))),
        ("ENV A  b  c=d", syntax.Env(SPAN, (Pair("A", "b  c=d", True),))),
        ('LABEL "a b"=c', syntax.Label(SPAN, (Pair('"a b"', "c"),))),
        ("MAINTAINER a <b>", syntax.Maintainer(SPAN, "a <b>")),
        ("CMD echo $X", syntax.Cmd(SPAN, shell("echo $X"))),
        ('CMD ["a", "b\\n"]', syntax.Cmd(SPAN, CommandLine(("a", "b\n"), True))),
        ("CMD ['a']", syntax.Cmd(SPAN, shell("['a']"))),
        ("CMD", syntax.Cmd(SPAN, CommandLine(()))),
        ("ENTRYPOINT []", syntax.Entrypoint(SPAN, CommandLine((), True))),
        ("RUN [ -f x ] && y", syntax.Run(SPAN, shell("[ -f x ] && y"))),
        (
            "RUN --network=none --security=insecure x",
            syntax.Run(SPAN, shell("x"), (), "none", "insecure"),
        ),
        (
            "RUN --mount=type=tmpfs,target=/x -- --y",
            syntax.Run(SPAN, shell("--y"), ("type=tmpfs,target=/x",)),
        ),
        ("RUN --device=a --device=b x", syntax.Run(SPAN, shell("x"), devices=("a", "b"))),
        ('SHELL ["bash", "-c"]', syntax.Shell(SPAN, ("bash", "-c"))),
        (
            "COPY --from=0 --link --parents a b c/",
            syntax.Copy(SPAN, ("a", "b"), "c/", is_linked=True, from_name="0", keeps_parents=True),
        ),
        ('COPY ["a b", "c"]', syntax.Copy(SPAN, ("a b",), "c", is_json=True)),
        (
            'COPY --chown="a b" --exclude=*.x --exclude=y a b',
            syntax.Copy(SPAN, ("a",), "b", chown="a b", exclude=("*.x", "y")),
        ),
        (
            "ADD --checksum=sha256:1 --unpack=false --keep-git-dir a b",
            syntax.Add(SPAN, ("a",), "b", checksum="sha256:1", unpacks=False, keeps_git_dir=True),
        ),
        ("WORKDIR a b", syntax.Workdir(SPAN, "a b")),
        ("VOLUME /a /b", syntax.Volume(SPAN, ("/a", "/b"))),
        ('VOLUME ["/a b"]', syntax.Volume(SPAN, ("/a b",))),
        ("EXPOSE 80 $P/udp", syntax.Expose(SPAN, ("80", "$P/udp"))),
        ("USER a:b", syntax.User(SPAN, "a:b")),
        ("STOPSIGNAL 9", syntax.StopSignal(SPAN, "9")),
        ("HEALTHCHECK NONE", syntax.Healthcheck(SPAN, None)),
        (
            "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --start-interval=20ms --retries=3 CMD a b",
            syntax.Healthcheck(SPAN, shell("a b"), 90 * 10**9, 15 * 10**8, 0, 2 * 10**7, 3),
        ),
        ('HEALTHCHECK cmd ["a"]', syntax.Healthcheck(SPAN, CommandLine(("a",), True))),
    ],
)
def test_instructions(text: str, expected: Instruction) -> None:
    assert one(text) == expected


def test_on_build() -> None:
    found = one("ONBUILD run <<EOF cat", "x", "EOF")
    assert isinstance(found, syntax.OnBuild)
    assert found.trigger == "run <<EOF cat\nx\nEOF"
    again = parser.parse_instruction(found.trigger)
    assert isinstance(again, syntax.Run)
    assert isinstance(found.instruction, syntax.Run)
    assert again.command == found.instruction.command == shell("<<EOF cat", Heredoc("EOF", "x\n"))


def test_comments_belong_to_what_follows() -> None:
    found = parsed("# old", "", "# one", "# two", "FROM x", "# three", "#", "RUN y")
    assert found.stages[0].comments == ("one", "two")
    assert found.stages[0].instructions[0].comments == ()


def test_positions_lead_back_through_continuations() -> None:
    found = parsed("FROM x", "  RUN a \\", " # comment", "   bcd")
    span = found.stages[0].instructions[0].span
    assert (span.start, span.end_line) == (Position(2, 3), 4)
    assert span.at(span.text.index("a")) == Position(2, 7)
    assert span.at(span.text.index("cd")) == Position(4, 5)


@pytest.mark.parametrize(("given", "expected"), wrong(), ids=[case[0] for case in wrong()])
def test_wrong_ones(given: str, expected: str) -> None:
    with pytest.raises(InvalidDockerfile) as caught:
        parser.parse(given.lstrip("\n").encode())
    assert f"{caught.value}\n{caught.value.metadata.get('excerpt', '')}" == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"FROM x\nRUN \xff", "Dockerfile:2:5: a byte that is not UTF-8"),
        (b"FROM x\0", "Dockerfile:1:7: a NUL byte"),
        (b"#" * (1 << 20) + b"#", "Dockerfile:1:1: the file has 1048577 bytes, more than 1048576"),
    ],
)
def test_what_is_not_text(data: bytes, message: str) -> None:
    with pytest.raises(InvalidDockerfile) as caught:
        parser.parse(data)
    assert caught.value.message == message


def test_a_long_text_that_begins_like_a_here_document() -> None:
    blanks = " " * 500_000  # minutes if each could be tried as part of the name
    assert one(f"RUN <<{blanks}<") == syntax.Run(SPAN, shell(f"<<{blanks}<"))


def test_many_mounts() -> None:
    # A minute if the flags were looked through for each.
    found = one("RUN " + "--mount=target=/x " * 50_000 + "true")
    assert isinstance(found, syntax.Run)
    assert found.mounts == ("target=/x",) * 50_000
    with pytest.raises(InvalidDockerfile, match="Dockerfile:2:23: unknown type of mount"):
        one("RUN --mount=target=/x --mount=type=x true")


def test_long_lines_are_cut_around_the_mark() -> None:
    with pytest.raises(InvalidDockerfile) as caught:
        parser.parse(b"FROM x\nENV " + b"a=1 " * 1000 + b"b")
    excerpt = caught.value.metadata["excerpt"].split("\n")
    assert len(max(excerpt, key=len)) < 120
    assert excerpt[1][excerpt[2].index("^")] == "b"
