"""The counters of one container's cgroup, of either version.

docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/{memory,cpuacct,blkio-controller}.html have the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from scow.api.container.v1 import stats_pb2 as pb

_MICROSECOND = 1000  # nanoseconds
_TICKS = os.sysconf("SC_CLK_TCK")
_SECOND = 1_000_000_000
# What v1 says of a limit that is none is near this, whatever the page size.
_UNLIMITED = 1 << 62
_MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

Counters = Mapping[str, int]


class Cgroup:
    """Reads counters.

    Args:
        directories: Of the container's cgroup, one a hierarchy, as its shim wrote them down.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = directories
        # Of each file, the directory that has it; empty for none.
        self._places: dict[str, str] = {}
        self._is_v2 = bool(self._find("cgroup.stat") and self._find("cpu.stat")) and not self._find(
            "cpuacct.usage"
        )

    def measure(self, stats: pb.ContainerStats) -> None:
        """Fill in what there is; a controller that is not there counts nothing."""
        (self._v2 if self._is_v2 else self._v1)(stats)
        stats.memory_limit = min(stats.memory_limit or _MACHINE, _MACHINE)
        stats.memory_percent = 100 * stats.memory_usage / stats.memory_limit
        pids = self._read("pids.max").strip()
        stats.pids_limit = int(pids) if pids.isdigit() else 0
        stats.pids = self._number("pids.current")

    def _v2(self, stats: pb.ContainerStats) -> None:
        cpu = self._counters("cpu.stat")
        stats.cpu_usage = cpu.get("usage_usec", 0) * _MICROSECOND
        stats.cpu_user = cpu.get("user_usec", 0) * _MICROSECOND
        stats.cpu_system = cpu.get("system_usec", 0) * _MICROSECOND
        stats.throttled_periods = cpu.get("nr_throttled", 0)
        stats.throttled_time = cpu.get("throttled_usec", 0) * _MICROSECOND
        inactive = self._counters("memory.stat").get("inactive_file", 0)
        stats.memory_usage = max(0, self._number("memory.current") - inactive)
        limit = self._read("memory.max").strip()
        stats.memory_limit = int(limit) if limit.isdigit() else 0
        for line in self._read("io.stat").splitlines():
            fields = dict(field.partition("=")[::2] for field in line.split()[1:])
            stats.block_read += int(fields.get("rbytes", 0))
            stats.block_write += int(fields.get("wbytes", 0))
        _pressure(self._read("cpu.pressure"), lambda: stats.cpu_pressure)
        _pressure(self._read("memory.pressure"), lambda: stats.memory_pressure)
        _pressure(self._read("io.pressure"), lambda: stats.io_pressure)

    def _v1(self, stats: pb.ContainerStats) -> None:
        stats.cpu_usage = self._number("cpuacct.usage")
        cpu = self._counters("cpuacct.stat")
        stats.cpu_user = cpu.get("user", 0) * _SECOND // _TICKS
        stats.cpu_system = cpu.get("system", 0) * _SECOND // _TICKS
        throttled = self._counters("cpu.stat")
        stats.throttled_periods = throttled.get("nr_throttled", 0)
        stats.throttled_time = throttled.get("throttled_time", 0)
        inactive = self._counters("memory.stat").get("total_inactive_file", 0)
        stats.memory_usage = max(0, self._number("memory.usage_in_bytes") - inactive)
        limit = self._number("memory.limit_in_bytes")
        stats.memory_limit = 0 if limit >= _UNLIMITED else limit
        moved = self._read("blkio.throttle.io_service_bytes_recursive")
        for line in moved.splitlines():
            _, kind, number = (*line.split(), "", "")[:3]
            if kind == "Read":
                stats.block_read += int(number)
            elif kind == "Write":
                stats.block_write += int(number)

    def _find(self, name: str) -> str:
        if name not in self._places:
            found = (each for each in self._directories if os.path.exists(f"{each}/{name}"))
            self._places[name] = next(found, "")
        return self._places[name]

    def _read(self, name: str) -> str:
        place = self._find(name)
        if not place:
            return ""
        try:
            with open(f"{place}/{name}", encoding="ascii") as file:
                return file.read()
        except OSError:  # it has ended; or the kernel counts no pressure (EOPNOTSUPP)
            return ""

    def _number(self, name: str) -> int:
        text = self._read(name).strip()
        return int(text) if text.isdigit() else 0

    def _counters(self, name: str) -> Counters:
        lines = (line.split() for line in self._read(name).splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}


def _pressure(text: str, made: Callable[[], pb.PressureStats]) -> None:
    for line in text.splitlines():
        kind, *fields = line.split()
        values = dict(field.partition("=")[::2] for field in fields)
        stats = made()
        if kind == "some":
            stats.some_10s, stats.some_total = float(values["avg10"]), int(values["total"])
        elif kind == "full":
            stats.full_10s, stats.full_total = float(values["avg10"]), int(values["total"])


def interfaces(pid: int) -> list[pb.InterfaceStats]:
    """Return the counters of a process's network, but for its loopback (proc(5), /proc/PID/net/dev)."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()[2:]
    except OSError:  # it has ended
        return []
    found = []
    for line in lines:
        name, _, counters = line.partition(":")
        numbers = list(map(int, counters.split()))
        if name.strip() != "lo" and len(numbers) >= 12:
            found.append(
                pb.InterfaceStats(
                    name=name.strip(),
                    received_bytes=numbers[0],
                    received_packets=numbers[1],
                    received_errors=numbers[2],
                    received_dropped=numbers[3],
                    sent_bytes=numbers[8],
                    sent_packets=numbers[9],
                    sent_errors=numbers[10],
                    sent_dropped=numbers[11],
                )
            )
    return found
