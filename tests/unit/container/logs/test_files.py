import json
from pathlib import Path

import pytest

from scow.container.logs.files import Cursor, Record, parse


def line(text: str, stream: str = "stdout", time: str = "2026-01-02T03:04:05.000000006Z") -> bytes:
    return json.dumps({"log": text, "stream": stream, "time": time}).encode() + b"\n"


def write(path: Path, *texts: str) -> None:
    with path.open("ab") as file:
        file.writelines(f"{text}\n".encode() for text in texts)


def drain(cursor: Cursor) -> list[str]:
    found: list[str] = []
    while lines := cursor.lines():
        found += [text.decode() for text in lines]
    return found


def test_a_record() -> None:
    record = parse(line("grüß\n", "stderr"))
    assert record == Record(1767323045_000000006, "stderr", "grüß\n".encode())


@pytest.mark.parametrize(
    ("time", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456_789),
    ],
)
def test_times(time: str, ns: int) -> None:
    record = parse(line("x", time=time))
    assert record is not None
    assert record.time_ns == ns


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"log": "x"}', b"\0\0\0", line("x", time="now")]
)
def test_what_is_no_record(text: bytes) -> None:
    assert parse(text) is None


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
    assert cursor.lines() == []
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
    assert cursor.lines() == []
    cursor.close()
