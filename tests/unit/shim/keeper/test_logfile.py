"""The log: records, partial lines, rotation, and a disk that is full."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scow.contract.log_formats import DECODERS
from scow.contract.log_record import decode
from scow.kernel import syscalls
from scow.shim.keeper import compressor
from scow.shim.keeper.compressor import compress
from scow.shim.keeper.logfile import COMPRESSING, LogFile


def records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_record(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write("stdout", 'say "hi" ü\n'.encode())
    log.close()
    (record,) = records(tmp_path / "log")
    assert (record["log"], record["stream"]) == ('say "hi" ü\n', "stdout")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", record["time"])
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_unfinished_lines_wait_for_their_end_and_streams_stay_apart(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write("stdout", b"one ")
    log.write("stderr", b"err\n")
    log.write("stdout", b"line\nrest")
    log.close()
    log.close()
    assert [(r["stream"], r["log"]) for r in records(tmp_path / "log")] == [
        ("stderr", "err\n"),
        ("stdout", "one line\n"),
        ("stdout", "rest"),
    ]


def test_a_record_that_was_cut_costs_no_other(tmp_path: Path) -> None:
    """A keeper that is killed may leave half a record; the next start of the container goes on behind it."""
    path = tmp_path / "log"
    first = LogFile(str(path))
    first.write("stdout", b"one\ntwo\n")
    first.close()
    os.truncate(path, path.stat().st_size - 9)
    second = LogFile(str(path))
    second.write("stdout", b"three\n")
    second.close()
    assert b"".join(found.data for found in decode(path.read_bytes())) == b"one\nthree\n"


def test_a_long_line_becomes_several_records(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    text = "ü" * 20_000 + "\n"
    raw = text.encode()
    for start in range(0, len(raw), 777):
        log.write("stdout", raw[start : start + 777])
    log.close()
    pieces = [record["log"] for record in records(tmp_path / "log")]
    assert "".join(pieces) == text
    assert [piece.endswith("\n") for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert max(len(piece.encode()) for piece in pieces) <= 16 << 10


@settings(max_examples=50)
@given(st.lists(st.text(alphabet="ab\nü€😀", max_size=40), max_size=30))
def test_whatever_the_pieces_the_text_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = LogFile(str(path))
    raw = "".join(pieces).encode()
    for start in range(0, len(raw), 5):
        log.write("stdout", raw[start : start + 5])
    log.close()
    text = "".join(record["log"] for record in records(path)) if path.exists() else ""
    assert text == raw.decode()


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write("stdout", b"\xff\xfe\0\n")
    log.close()
    assert records(tmp_path / "log")[0]["log"] == "\ufffd\ufffd\0\n"


@pytest.mark.parametrize("files", [1, 2, 4])
def test_rotation(tmp_path: Path, files: int) -> None:
    log = LogFile(str(tmp_path / "log"), 4096, files)
    for number in range(400):
        log.write("stdout", f"{number}\n".encode())
    log.close()
    names = ["log", *(f"log.{n}" for n in range(1, files))]
    assert sorted(os.listdir(tmp_path)) == names
    assert all((tmp_path / name).stat().st_size <= 4096 for name in names)
    kept = [int(r["log"]) for name in reversed(names) for r in records(tmp_path / name)]
    assert kept == list(range(kept[0], 400))


def test_going_on_with_a_file_that_exists(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = LogFile(str(tmp_path / "log"))
        log.write("stdout", text)
        log.close()
    assert [record["log"] for record in records(tmp_path / "log")] == ["one\n", "two\n"]


def test_a_full_disk_loses_records_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write("stdout", b"before\n")
    full = True
    write = os.write

    def short(fd: int, data: bytes) -> int:
        return write(fd, data[: len(data) // 2]) if full else write(fd, data)

    monkeypatch.setattr(os, "write", short)
    log.write("stdout", b"lost\n")
    full = False
    log.write("stdout", b"after\n")
    log.close()
    texts = [record["log"] for record in records(tmp_path / "log")]
    assert texts[0] == "before\n"
    assert re.fullmatch(r"\[scow: \d+ bytes of log were lost.*\]\n", texts[1])
    assert texts[2] == "after\n"


def test_a_folder_that_is_missing_stops_nothing(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "none" / "log"))
    log.write("stdout", b"lost\n")
    (tmp_path / "none").mkdir()
    log.write("stdout", b"kept\n")
    log.close()
    assert records(tmp_path / "none" / "log")[-1]["log"] == "kept\n"


@pytest.mark.parametrize("form", list(DECODERS))
@pytest.mark.parametrize("size", [1, 1000])
def test_each_file_says_where_its_output_begins(tmp_path: Path, size: int, form: str) -> None:
    log = LogFile(str(tmp_path / "log"), size, 1000, form=form)
    for number in range(40):
        log.write("stdout", f"{number} \xfc\n".encode("latin-1") * 5)
        log.write("stderr", f"{number}".encode())
    log.close()
    reached = {"stdout": 0, "stderr": 0}
    for path in sorted(tmp_path.iterdir(), key=lambda path: -int(path.suffix[1:] or 0)):
        placed: set[str] = set()
        for records in DECODERS[form]().decode(path.read_bytes()):
            if records.stream not in placed:
                assert records.position == reached[records.stream]
                assert records.run == log.run
                placed.add(records.stream)
            reached[records.stream] += len(records.data)
    rest = b"".join(f"{number}".encode() for number in range(40))
    assert reached == {"stdout": log.recorded("stdout"), "stderr": len(rest)}
    assert log.recorded("stdout") == sum(len(f"{number} ?\n") * 5 for number in range(40))


def test_positions_are_right_after_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write("stdout", b"before\n")
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: 0)
        log.write("stdout", b"lost\n")
    log.write("stdout", b"after\n")
    log.close()
    found = decode((tmp_path / "log").read_bytes())
    assert [(record.position, record.notice) for record in found] == [
        (0, False),
        (None, True),
        (len("before\nlost\n"), False),
    ]


def test_a_later_run_has_a_higher_number_also_when_the_clock_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("")
    tomorrow = time.time_ns() + 86_400 * 10**9
    os.utime(path, ns=(tomorrow, tomorrow))
    assert LogFile(str(path)).run > tomorrow


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_what_was_compressed_gets_its_name_wherever_the_file_is_by_then(
    tmp_path: Path, rotations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "log"), 2000, 3, compress=True)
    child = 4711
    monkeypatch.setattr(syscalls, "fork_bare", lambda: child)

    def fill() -> None:
        log.write("stdout", b"x" * 1500 + b"\n")

    fill()
    fill()  # is the first rotation
    first = (tmp_path / "log.1").read_bytes()
    with (tmp_path / "log.1").open("rb") as file:
        compress(file.fileno(), str(tmp_path / f"log{COMPRESSING}"))
    for _ in range(rotations):
        fill()
    assert not log.collected(1, 0)
    assert log.collected(child, 0)
    assert not log.collected(child, 0)
    names = {
        0: ["log", "log.1.gz"],
        1: ["log", "log.1", "log.2.gz"],
        2: ["log", "log.1", "log.2"],
    }
    assert sorted(os.listdir(tmp_path)) == names[rotations]
    if rotations < 2:
        packed = tmp_path / names[rotations][-1]
        assert gzip.decompress(packed.read_bytes()) == first
    log.close()


def test_a_child_that_is_late_compresses_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "log"), 2000, 3, compress=True)
    waiting, go = os.pipe()
    main = compressor.main

    def late(source: int, target: str) -> None:
        os.read(waiting, 1)
        main(source, target)

    monkeypatch.setattr(compressor, "main", late)
    forked: list[int] = []
    fork = syscalls.fork_bare

    def noted() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(syscalls, "fork_bare", noted)
    texts = [letter * 1500 + b"\n" for letter in (b"a", b"b", b"c")]
    for text in texts:
        log.write("stdout", text)
    os.write(go, b"1")
    pid, status = os.waitpid(forked[0], 0)
    assert log.collected(pid, status)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2.gz"]
    packed = gzip.decompress((tmp_path / "log.2.gz").read_bytes())
    files = [packed, (tmp_path / "log.1").read_bytes(), (tmp_path / "log").read_bytes()]
    assert [decode(data)[0].data for data in files] == texts
    log.close()
    os.close(waiting)
    os.close(go)


def test_a_compression_that_failed_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path / "log"), 2000, 3, compress=True)
    monkeypatch.setattr(syscalls, "fork_bare", lambda: 4711)
    for _ in range(2):
        log.write("stdout", b"x" * 1500 + b"\n")
    (tmp_path / f"log{COMPRESSING}").write_text("half")
    assert log.collected(4711, 9)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1"]
    log.close()
