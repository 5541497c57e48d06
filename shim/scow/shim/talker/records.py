"""What became of exec sessions, for the next talker: a line of JSON for each start and each end.

The file is in the state directory, `execs.jsonl`. The latest 100 sessions that have ended are remembered: each talker
reads the file before it does anything else.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from scow.contract.shim_files import Exit

FILE = "execs.jsonl"
_KEPT = 100
_LINES_MAX = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One session: its process, how it ended, or None while it runs, and the place in its output where that was."""

    exec_id: str
    pid: int
    ticks: int
    exit: Exit | None = None
    run: int = 0
    stdout: int = 0
    stderr: int = 0


class Records:
    """The sessions of one container."""

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, FILE)
        self._records: dict[str, Record] = {}
        self._lines = 0
        self._load()

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return
        self._lines = len(lines)
        for line in lines:
            try:
                fields = json.loads(line)
            except ValueError:  # its writer was killed
                continue
            ended = fields.pop("exit")
            self._put(Record(**fields, exit=Exit(**ended) if ended else None))
        self._forget_old()
        if self._lines > 2 * len(self._records):
            self._rewrite()

    def _put(self, record: Record) -> None:
        self._records.pop(record.exec_id, None)
        self._records[record.exec_id] = record

    def find(self, exec_id: str) -> Record | None:
        """Return one; None when there is none, or it ended too long ago."""
        return self._records.get(exec_id)

    def unfinished(self) -> list[Record]:
        """Return those that have no end."""
        return [record for record in self._records.values() if record.exit is None]

    def add(self, record: Record) -> None:
        """Record a start or an end. No fsync: no session survives the machine."""
        self._put(record)
        self._forget_old()
        self._lines += 1
        if self._lines > _LINES_MAX:
            self._rewrite()
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self._path, flags, 0o600)
        except OSError:  # a full disk: the sessions go on, and this talker knows of them
            return
        try:
            os.write(fd, b"\n" + _line(record))  # also after a line that was cut
        except OSError:
            return
        finally:
            os.close(fd)

    def _forget_old(self) -> None:
        ended = [name for name, record in self._records.items() if record.exit is not None]
        for name in ended[: max(len(ended) - _KEPT, 0)]:
            del self._records[name]

    def _rewrite(self) -> None:
        temporary = f"{self._path}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.writelines(_line(record) for record in self._records.values())
            os.rename(temporary, self._path)
            self._lines = len(self._records)
        except OSError:
            return


def _line(record: Record) -> bytes:
    return json.dumps(asdict(record)).encode() + b"\n"
