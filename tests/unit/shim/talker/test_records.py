"""What a talker reads and writes of exec sessions."""

from __future__ import annotations

from pathlib import Path

from scow.contract.shim_files import Exit
from scow.shim.talker.records import FILE, Record, Records


def lines(tmp_path: Path) -> int:
    return len([line for line in (tmp_path / FILE).read_bytes().splitlines() if line])


def run(records: Records, name: str) -> None:
    records.add(Record(name, 7, 1))
    records.add(Record(name, 7, 1, Exit(3, 0, 5)))


def test_the_next_talker_knows_them(tmp_path: Path) -> None:
    records = Records(str(tmp_path))
    run(records, "ended")
    records.add(Record("runs", 8, 2))
    following = Records(str(tmp_path))
    assert following.find("ended") == Record("ended", 7, 1, Exit(3, 0, 5))
    assert following.unfinished() == [Record("runs", 8, 2)]
    assert following.find("none") is None


def test_a_line_that_was_cut_is_passed_over(tmp_path: Path) -> None:
    run(Records(str(tmp_path)), "one")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"exec_id": "tw')
    run(Records(str(tmp_path)), "three")
    following = Records(str(tmp_path))
    assert following.find("one") is not None
    assert following.find("three") is not None


def test_the_file_stays_short_and_keeps_what_runs(tmp_path: Path) -> None:
    records = Records(str(tmp_path))
    records.add(Record("runs", 8, 2))
    for number in range(1000):
        run(records, f"{number}")
        assert lines(tmp_path) <= 200
    following = Records(str(tmp_path))
    assert following.unfinished() == [Record("runs", 8, 2)]
    assert following.find("999") is not None
    assert following.find("0") is None


def test_a_talker_leaves_a_long_file_short(tmp_path: Path) -> None:
    for number in range(60):
        run(Records(str(tmp_path)), f"{number}")
    text = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(text * 40)
    Records(str(tmp_path))
    assert (tmp_path / FILE).stat().st_size < len(text)
