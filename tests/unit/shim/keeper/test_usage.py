"""What is read of a cgroup's files, of either version."""

from pathlib import Path

from scow.shim.keeper.usage import Usage, read


def test_v1(tmp_path: Path) -> None:
    memory, cpu, pids = (tmp_path / name for name in ("memory", "cpuacct", "pids"))
    for each in (memory, cpu, pids):
        each.mkdir()
    (memory / "memory.max_usage_in_bytes").write_text("16700000\n")
    (memory / "memory.limit_in_bytes").write_text("16777216\n")
    (cpu / "cpuacct.usage").write_text("123456789\n")
    (pids / "pids.events").write_text("max 3\n")
    assert read(map(str, (memory, cpu, pids))) == Usage(16_700_000, 123_456_789, True, 3)
    (memory / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert not read([str(memory)]).limit_hit


def test_v2(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("4096\n")
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 7\nuser_usec 5\n")
    (tmp_path / "pids.events").write_text("max 0\n")
    assert read([str(tmp_path)]) == Usage(4096, 7000, True, 0)


def test_what_is_not_there_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("nonsense\n")
    assert read([str(tmp_path), str(tmp_path / "gone")]) == Usage()
