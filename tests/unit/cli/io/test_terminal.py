"""The user's terminal: raw mode that is always given back, detach keys, sizes."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator

import pytest

from scow.cli.io.terminal import (
    DEFAULT_DETACH_KEYS,
    DetachFilter,
    RawMode,
    parse_detach_keys,
    window_size,
)


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(slave)
    os.close(master)


def test_raw_mode_is_given_back(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    with RawMode(terminal):
        raw = termios.tcgetattr(terminal)
        assert not raw[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert termios.tcgetattr(terminal) == before


def test_raw_mode_is_given_back_after_an_error(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    with pytest.raises(KeyboardInterrupt), RawMode(terminal):
        raise KeyboardInterrupt
    assert termios.tcgetattr(terminal) == before


def test_window_size(terminal: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    assert window_size(terminal) == (30, 100)


def test_what_is_no_terminal_has_no_size(tmp_path: object) -> None:
    reader, writer = os.pipe()
    assert window_size(reader) is None
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (DEFAULT_DETACH_KEYS, b"\x10\x11"),
        ("", b"\x10\x11"),
        ("ctrl-a", b"\x01"),
        ("a,b", b"ab"),
        ("ctrl-@,ctrl-[,ctrl-_", b"\x00\x1b\x1f"),
    ],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "ctrl-p,,ctrl-q", "é"])
def test_wrong_detach_keys(text: str) -> None:
    with pytest.raises(ValueError, match="invalid key"):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        ([b"ls\n"], b"ls\n", False),
        ([b"\x10\x11"], b"", True),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10a"], b"\x10a", False),
        ([b"\x10", b"a"], b"\x10a", False),
        ([b"\x10\x10\x11"], b"\x10", True),
    ],
)
def test_detach_filter(typed: list[bytes], passed: bytes, detached: bool) -> None:
    keys = DetachFilter(b"\x10\x11")
    assert b"".join(map(keys.feed, typed)) == passed
    assert keys.detached is detached


def test_without_keys_everything_passes() -> None:
    assert DetachFilter(b"").feed(b"\x10\x11") == b"\x10\x11"
