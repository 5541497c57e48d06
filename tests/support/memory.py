"""What processes need of memory."""

from __future__ import annotations

from pathlib import Path


class Memory:
    """The peak of a process's resident memory since this was made (proc(5), clear_refs)."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        (self._process / "clear_refs").write_text("5")
        self._before = self._read()

    def _read(self) -> int:
        for line in (self._process / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
        raise AssertionError("no peak in proc")

    def growth(self) -> int:
        """Return by how many bytes the peak is above what was used at first."""
        return self._read() - self._before
