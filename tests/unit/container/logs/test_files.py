"""A log's files: read across rotations, whenever they happen, without a gap and without a line twice."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from scow.container.logs import files
from scow.container.logs.files import Cursor, Place
from scow.contract.log_formats import ENCODERS
from scow.contract.log_lines import LineEncoder
from scow.shim.keeper.compressor import compress

# What stands for a container's shim: knows how much of the output is in the log.
_encoders: dict[Path, LineEncoder] = {}


@pytest.fixture(params=["json", "compact", "cri"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"c-{request.param}.log"
    _encoders[tmp_path] = ENCODERS[request.param](0, "")
    return path


def form(path: Path) -> str:
    return path.name.partition("-")[2].partition(".")[0]


def record(path: Path, text: str) -> bytes:
    encoder = _encoders[path.parent]
    position = encoder.recorded("stdout")
    return encoder.placed(encoder.encode("stdout", f"{text}\n".encode()), position)


def write(path: Path, *texts: str) -> None:
    with path.open("ab") as file:
        for text in texts:
            file.write(record(path, text))


def drain(cursor: Cursor) -> list[str]:
    found = b""
    while some := cursor.records():
        found += b"".join(records.data for records in some)
    return found.decode().splitlines()


def rotate(log: Path, files: int = 3) -> None:
    names = [log, *(log.with_name(f"{log.name}.{n}") for n in range(1, files))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        if newer.exists():
            newer.rename(older)


def test_a_log_that_is_not_there_yet(log: Path) -> None:
    cursor = Cursor(log, form(log))
    assert cursor.records() == []
    write(log, "a")
    assert drain(cursor) == ["a"]
    cursor.close()


def test_all_files_oldest_first(log: Path) -> None:
    for text in "abc":
        write(log, text)
        rotate(log)
    write(log, "d")
    cursor = Cursor(log, form(log))
    assert drain(cursor) == ["b", "c", "d"]
    cursor.close()


def test_nothing_is_lost_while_files_rotate_under_a_reader(log: Path) -> None:
    write(log, "1")
    cursor = Cursor(log, form(log))
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
    cursor = Cursor(log, form(log))
    assert drain(cursor) == ["1"]
    for text in "2345":
        rotate(log)
        write(log, text)
    assert drain(cursor) == ["3", "4", "5"]
    cursor.close()


def test_a_log_between_two_files_is_at_its_end(log: Path) -> None:
    write(log, "1")
    cursor = Cursor(log, form(log))
    assert drain(cursor) == ["1"]
    rotate(log)
    assert drain(cursor) == []
    write(log, "2")
    assert drain(cursor) == ["2"]
    cursor.close()


def test_half_a_line_waits_for_its_end(log: Path) -> None:
    write(log, "one")
    rest = record(log, "two")
    log.write_bytes(log.read_bytes() + rest[:-3])
    cursor = Cursor(log, form(log))
    assert drain(cursor) == ["one"]
    with log.open("ab") as file:
        file.write(rest[-3:])
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
    cursor = Cursor(log, form(log), tail=count)
    assert drain(cursor) == list(expected)
    cursor.close()


def test_tail_of_long_lines(log: Path) -> None:
    texts = [str(n % 10) * 16_000 for n in range(40)]
    write(log, *texts)
    cursor = Cursor(log, form(log), tail=3)
    assert drain(cursor) == texts[-3:]
    cursor.close()


def test_tail_of_nothing(log: Path) -> None:
    cursor = Cursor(log, form(log), tail=5)
    assert cursor.records() == []
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
            log.write_bytes(record(log, f"new{count}"))
        return original(*args, **kwargs)  # type: ignore[operator]

    for turn in range(1, 12):
        for path in log.parent.iterdir():
            path.unlink()
        write(log, "1")
        rotate(log)
        write(log, "2")
        calls = count = 0
        cursor = Cursor(log, form(log))
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
    cursor = Cursor(log, form(log))
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
    cursor = Cursor(log, form(log))
    assert drain(cursor) == ["1", "2"]
    cursor.close()


def test_a_line_without_end_does_not_fill_the_memory(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LONGEST_LINE", 1000)
    log.write_bytes(b"x" * 300_000)
    cursor = Cursor(log, form(log))
    assert cursor.records() == []
    with log.open("ab") as file:
        file.write(b"\n")
        file.write(record(log, "more"))
    assert drain(cursor)[-1:] == ["more"]
    assert len(cursor._rest) <= 1000
    cursor.close()


def pack(path: Path) -> None:
    with path.open("rb") as file:
        compress(file.fileno(), f"{path}.gz")
    path.unlink()


@pytest.mark.parametrize("count", range(7))
def test_tail_reaches_into_compressed_files(log: Path, count: int) -> None:
    write(log, "a", "b")
    rotate(log)
    write(log, "c", "d")
    rotate(log)
    write(log, "e", "f")
    pack(log.with_name(f"{log.name}.1"))
    pack(log.with_name(f"{log.name}.2"))
    for places in (False, True):
        cursor = Cursor(log, form(log), tail=count, places=places)
        assert drain(cursor) == list("abcdef")[6 - count :]
        cursor.close()


def test_a_file_that_is_compressed_under_a_reader_comes_once(log: Path) -> None:
    write(log, "1", "2")
    cursor = Cursor(log, form(log))
    assert drain(cursor) == ["1", "2"]
    rotate(log)
    write(log, "3")
    pack(log.with_name(f"{log.name}.1"))
    assert drain(cursor) == ["3"]
    cursor.close()


@pytest.mark.parametrize("cut", range(7))
def test_a_reader_goes_on_at_a_place_whatever_became_of_the_files(log: Path, cut: int) -> None:
    """Of six records in three files, which are rotated, and compressed, after so many of them were read."""
    places: list[Place | None] = []
    texts = [str(number) for number in range(6)]
    reader = Cursor(log, form(log))
    for text in texts:
        places.append(reader.place)
        write(log, text)
        drain(reader)
        if text in "13":
            rotate(log, 5)
    places.append(reader.place)
    reader.close()
    for number in (1, 2):
        pack(log.with_name(f"{log.name}.{number}"))
        again = Cursor(log, form(log), after=places[cut])
        assert drain(again) == texts[cut:]
        again.close()


def test_a_place_that_was_rotated_away_is_followed_by_the_oldest_record(log: Path) -> None:
    write(log, "1")
    cursor = Cursor(log, form(log))
    drain(cursor)
    for text in "2345":
        rotate(log)
        write(log, text)
    again = Cursor(log, form(log), after=cursor.place)
    assert drain(again) == ["3", "4", "5"]
    again.close()
    cursor.close()


def test_a_place_in_an_earlier_run_is_before_all_of_a_later_one(log: Path) -> None:
    write(log, "1", "2")
    cursor = Cursor(log, form(log))
    drain(cursor)
    _encoders[log.parent] = ENCODERS[form(log)](0, "")
    write(log, "3")
    again = Cursor(log, form(log), after=cursor.place)
    assert drain(again) == ["3"]
    assert drain(cursor) == ["3"]
    again.close()
    cursor.close()
