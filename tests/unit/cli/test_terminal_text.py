"""What strangers wrote is shown on a terminal, not obeyed."""

from __future__ import annotations

import io
import json
import sys

import pytest

from scow.cli.__main__ import command
from scow.cli.io.terminal_text import TerminalText, control, protect, visible
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
