"""Rows of ps's output that are a container's."""

from __future__ import annotations

import pytest

from scow.container.query import top
from scow.contract.errors import InvalidArgument

_OUTPUT = """\
UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 10:00 ?        00:00:01 /sbin/init
root         100       1  0 10:01 ?        00:00:00 sleep   600
root        1001       1  0 10:01 ?        00:00:00 other
"""


def test_rows_of_the_processes() -> None:
    found = top.select(_OUTPUT, {100, 4242})
    assert list(found.titles) == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    (row,) = found.processes
    assert list(row.values) == ["root", "100", "1", "0", "10:01", "?", "00:00:00", "sleep 600"]


def test_threads_go_with_the_process_above_them() -> None:
    found = top.select("PID LWP\n1 -\n- 1\n100 -\n- 100\n- 101\n", {100})
    assert [list(row.values) for row in found.processes] == [
        ["100", "-"],
        ["-", "100"],
        ["-", "101"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Couldn't find PID field in ps output"),
        ("UID CMD\nroot sh\n", "Couldn't find PID field in ps output"),
        ("CMD PID\nsh x1\n", "unexpected pid 'x1'"),
        ("CMD PID\nsh \u00b2\n", "unexpected pid '\u00b2'"),
    ],
)
def test_output_without_pids(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        top.select(text, {1})
    assert caught.value.message == message


@pytest.mark.parametrize(
    "argument", ["ppid=PID", "-oppid=PID", "pid,ppid=PIDS", "--format=ppid=PID", "a\0b", "x" * 5000]
)
def test_options_that_are_refused(argument: str) -> None:
    with pytest.raises(InvalidArgument):
        top.check(["-e", argument])


@pytest.mark.parametrize(
    "argument", ["-ef", "pid=PID", "-opid=PID", "--format=pid,args", "PID", "-o"]
)
def test_options_that_are_taken(argument: str) -> None:
    top.check([argument])
