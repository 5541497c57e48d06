"""A log's files: read across rotations, whenever they happen, without a gap and without a line twice."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from scow.container.logs import files
from scow.container.logs.files import Cursor


def write(path: Path, *texts: str) -> None:
    with path.open("ab") as file:
        file.writelines(f"{text}\n".encode() for text in texts)


def drain(cursor: Cursor) -> list[str]:
    found: list[str] = []
    while lines := cursor.lines():
        found += lines.decode().splitlines()
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "c-json.log"


def rotate(log: Path, files: int = 3) -> None:
    names = [log, *(log.with_name(f"{log.name}.{n}") for n in range(1, files))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        if newer.exists():
            newer.rename(older)


def test_a_log_that_is_not_there_yet(log: Path) -> None:
    cursor = Cursor(log)
    assert cursor.lines() == b""
    write(log, "a")
    assert drain(cursor) == ["a"]
    cursor.close()


def test_all_files_oldest_first(log: Path) -> None:
    for text in "abc":
        write(log, text)
        rotate(log)
    write(log, "d")
    cursor = Cursor(log)
    assert drain(cursor) == ["b", "c", "d"]
    cursor.close()


def test_nothing_is_lost_while_files_rotate_under_a_reader(log: Path) -> None:
    write(log, "1")
    cursor = Cursor(log)
    assert drain(cursor) == ["1"]
    write(log, "2")
    rotate(log)
    write(log, "3")
    rotate(log)
    write(log, "4")
    assert drain(cursor) == ["2", "3", "4"]
    write(log, "5")
    assert drain(cursor) == ["5"]
    cursor.close()


def test_a_reader_that_was_overtaken_goes_on_with_the_oldest(log: Path) -> None:
    write(log, "1")
    cursor = Cursor(log)
    assert drain(cursor) == ["1"]
    for text in "2345":
        rotate(log)
        write(log, text)
    assert drain(cursor) == ["3", "4", "5"]
    cursor.close()


def test_a_log_between_two_files_is_at_its_end(log: Path) -> None:
    write(log, "1")
    cursor = Cursor(log)
    assert drain(cursor) == ["1"]
    rotate(log)
    assert drain(cursor) == []
    write(log, "2")
    assert drain(cursor) == ["2"]
    cursor.close()


def test_half_a_line_waits_for_its_end(log: Path) -> None:
    log.write_bytes(b"one\ntw")
    cursor = Cursor(log)
    assert drain(cursor) == ["one"]
    with log.open("ab") as file:
        file.write(b"o\n")
    assert drain(cursor) == ["two"]
    cursor.close()


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (1, "f"), (2, "ef"), (3, "def"), (4, "cdef"), (6, "abcdef"), (99, "abcdef")],
)
def test_tail_reaches_into_older_files(log: Path, count: int, expected: str) -> None:
    write(log, "a", "b")
    rotate(log)
    write(log, "c", "d")
    rotate(log)
    write(log, "e", "f")
    cursor = Cursor(log, count)
    assert drain(cursor) == list(expected)
    cursor.close()


def test_tail_of_long_lines(log: Path) -> None:
    texts = [str(n) * 40_000 for n in range(8)]
    write(log, *texts)
    cursor = Cursor(log, 3)
    assert drain(cursor) == texts[-3:]
    cursor.close()


def test_tail_of_nothing(log: Path) -> None:
    cursor = Cursor(log, 5)
    assert cursor.lines() == b""
    cursor.close()


@pytest.mark.parametrize("moment", ["stat", "open"])
def test_a_rotation_at_any_moment_is_noticed(
    log: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names move on between any two looks at them."""
    original = {"stat": Path.stat, "open": os.open}[moment]
    calls = 0
    count = 0

    def rotating(*args: object, **kwargs: object) -> object:
        nonlocal calls, count
        calls += 1
        if calls == turn:
            count += 1
            rotate(log)
            log.write_text(f"new{count}\n")
        return original(*args, **kwargs)  # type: ignore[operator]

    for turn in range(1, 12):
        for path in log.parent.iterdir():
            path.unlink()
        write(log, "1")
        rotate(log)
        write(log, "2")
        calls = count = 0
        cursor = Cursor(log)
        with monkeypatch.context() as patched:
            patched.setattr(Path if moment == "stat" else os, moment, rotating)
            found = drain(cursor)
        found += drain(cursor)
        assert found == ["1", "2", *(f"new{n + 1}" for n in range(count))], turn
        cursor.close()


@pytest.mark.parametrize("kept", [2, 3, 5])
def test_nothing_comes_twice_while_another_process_rotates(log: Path, kept: int) -> None:
    """Rotations as quick as they can be: lines may be overtaken, but they come once and in order."""
    rounds = 500

    def rotate_often() -> None:
        for number in range(rounds):
            write(log, str(number))
            rotate(log, kept)
        write(log, "end")

    writer = threading.Thread(target=rotate_often)
    cursor = Cursor(log)
    writer.start()
    found: list[str] = []
    while "end" not in found[-1:]:
        found += drain(cursor)
    writer.join()
    cursor.close()
    numbers = [int(text) for text in found[:-1]]
    assert numbers == sorted(set(numbers))


def test_a_file_between_two_names_is_not_forgotten(log: Path) -> None:
    """A rotation stands still after its first step."""
    write(log.with_name(f"{log.name}.2"), "1")
    write(log, "2")
    cursor = Cursor(log)
    assert drain(cursor) == ["1", "2"]
    cursor.close()


def test_a_line_without_end_does_not_fill_the_memory(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LONGEST_LINE", 1000)
    log.write_bytes(b"x" * 300_000)
    cursor = Cursor(log)
    assert cursor.lines() == b""
    with log.open("ab") as file:
        file.write(b"\nnext\n")
    assert len(cursor.lines()) <= 1000 + len(b"\nnext\n")
    cursor.close()
