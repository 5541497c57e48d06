"""What strangers wrote is shown on a terminal, not obeyed."""

from __future__ import annotations

import io
import json
import sys

import pytest

from scow.cli.__main__ import command
from scow.cli.context import Context
from scow.cli.io.terminal_text import TerminalText, control, one_line, protect, visible
from scow.cli.output.table import Listing
from scow.contract.errors import ImageNotFound
from scow.words.template import Row
from tests.support.engine import BIN
from tests.support.terminal import Terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünï, 字, \U0001f680", "plain, ünï, 字, \U0001f680"),
        ("a\tb\n", "a\tb\n"),
        ("\x1b[31mred\x07\r", r"\x1b[31mred\x07\x0d"),
        ("\x7f\x9b2J", r"\u007f\u009b2J"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_json_stays_json() -> None:
    text = json.dumps({"k": "\x1b\x9b\u202e"}, ensure_ascii=False)
    assert visible(text).isprintable()
    assert json.loads(visible(text)) == json.loads(text)


def _stream(terminal: bool) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    return stream


def _written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()


def test_terminals_alone_are_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = _stream(True), _stream(False)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    protect()
    protect()  # twice is once
    print("\x1b\udc80")
    control(sys.stdout, "\x1b[K")
    print("\x1b", file=sys.stderr)
    assert isinstance(sys.stdout, TerminalText)
    sys.stdout.flush()
    assert _written(out) == b"\\x1b\\udc80\n\x1b[K"
    assert _written(err) == b"\x1b\n"


def test_a_closed_stream_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    protect()
    assert sys.stderr is None


def test_a_message_with_an_escape_sequence() -> None:
    with Terminal([str(BIN / "scow"), "\x1b[31mx"]) as terminal:
        terminal.wait_for(rb"unknown command: scow \x1b[31mx")
        assert terminal.ended() == 1


def test_a_pipe_gets_it_unchanged(capfd: pytest.CaptureFixture[str]) -> None:
    assert command(["\x1b[31mx"]) == 1
    assert "scow \x1b[31mx" in capfd.readouterr().err


_FORGED = Row(Name="a\nb\tc\r", Labels="x=\t1", Label={"x": "\n1"}.__getitem__)


def _terminal(monkeypatch: pytest.MonkeyPatch) -> io.TextIOWrapper:
    out = _stream(True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    protect()
    return out


def _table(layout: str) -> None:
    listing = Listing(layout, "{{.Name}}\t{{.Labels}}", {"Name": "NAME", "Labels": "LABELS"})
    listing.print([_FORGED], Context())
    sys.stdout.flush()


@pytest.mark.parametrize(
    ("layout", "shown"),
    [
        ("", b"NAME        LABELS\na\\nb\\tc\\r   x=\\t1\n"),
        (r'{{.Name}}\n\t{{.Label "x"}}', b"a\\nb\\tc\\r\n\t\\n1\n"),
        ("{{json .Name}}", rb'"a\nb\tc\r"' + b"\n"),
        ("json", rb'{"Labels":"x=\t1","Name":"a\nb\tc\r"}' + b"\n"),
    ],
)
def test_no_row_is_forged_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, layout: str, shown: bytes
) -> None:
    terminal = _terminal(monkeypatch)
    _table(layout)
    assert _written(terminal) == shown


def test_a_list_in_a_pipe_has_every_character(capsys: pytest.CaptureFixture[str]) -> None:
    _table("{{.Name}}")
    assert capsys.readouterr().out == "a\nb\tc\r\n"


def test_a_message_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    context = Context()
    context.fail(ImageNotFound("there is no image a\nscow: all is well"))
    context.warn("b\n\r")
    context.out("c\td")
    context.block("e\n\tf")
    assert command(["g\nh"]) == 1
    sys.stdout.flush()
    lines = _written(terminal).decode().splitlines()
    assert lines[:5] == [
        r"scow: there is no image a\nscow: all is well",
        r"b\n\r",
        r"c\td",
        "e",
        "\tf",
    ]
    assert lines[5] == r"scow: unknown command: scow g\nh"


def test_one_line_leaves_files_alone() -> None:
    assert one_line("a\nb", _stream(False)) == "a\nb"
