"""Showing a build: the lines that BuildKit prints, a live view of what runs on a terminal, or nothing but the end."""

from __future__ import annotations

import json
import shutil
import time
from collections import deque

from scow.cli.io.terminal_text import control, visible
from scow.words.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from scow.api.build.v1 import build_pb2 as pb

# Lines of a step's output that are shown when it fails, and below a step that runs.
_LAST_LINES = 10
_TAIL = 4
_FRAME = 0.1
_NANO = 1_000_000_000


def make_view(out: TextIO, mode: str) -> View:
    """Return a view of a mode."""
    if mode == "auto":
        mode = "tty" if out.isatty() else "plain"
    return {"plain": Plain, "tty": Screen, "rawjson": RawJson}.get(mode, View)(out)


class View:
    """Shows nothing, and remembers the last lines of each step. Others show more.

    Args:
        out: Where to show.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.vertices: dict[str, pb.Vertex] = {}
        self.lines: dict[str, deque[str]] = {}

    def follow(self, events: Iterable[pb.BuildEvent]) -> pb.BuildResult | None:
        """Show events until they end; return the result."""
        result = None
        try:
            for event in events:
                kind = event.WhichOneof("event")
                if kind == "result":
                    result = event.result
                elif kind is not None:
                    self.take(event, kind)
        finally:
            self.finish()
        return result

    def take(self, event: pb.BuildEvent, kind: str) -> None:
        """Show one event."""
        if kind == "vertex":
            self.vertices[event.vertex.id] = event.vertex
        elif kind == "log":
            text = event.log.data.decode("utf-8", "replace")
            lines = self.lines.setdefault(event.log.vertex, deque(maxlen=_LAST_LINES))
            lines.extend(text.splitlines())

    def finish(self) -> None:
        """Show what is left."""

    def failed(self) -> pb.Vertex | None:
        """Return the step that failed, if one did by itself."""
        for vertex in self.vertices.values():
            if vertex.error and not vertex.canceled:
                return vertex
        return None


class Plain(View):
    """A line for each thing that happens, each with its step's number."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._numbers: dict[str, int] = {}
        self._current = ""
        self._pending: dict[str, str] = {}

    def take(self, event: pb.BuildEvent, kind: str) -> None:
        """Show one event."""
        super().take(event, kind)
        if kind == "vertex":
            self._vertex(event.vertex)
        elif kind == "log":
            self._log(event)
        elif kind == "status":
            self._status(event.status)
        elif kind == "warning" and not event.warning.rule:
            self._print(f"WARNING: {event.warning.message}")
        self._out.flush()

    def _number(self, vertex: str) -> int:
        return self._numbers.setdefault(vertex, len(self._numbers) + 1)

    def _turn(self, vertex: str) -> str:
        """Begin to tell about a step, with its name; return what its lines begin with."""
        number = self._number(vertex)
        if vertex != self._current:
            if self._current:
                self._print("")
            self._current = vertex
            self._print(f"#{number} {_clean(self.vertices[vertex].name)}")
        return f"#{number}"

    def _vertex(self, vertex: pb.Vertex) -> None:
        head = self._turn(vertex.id)
        if not vertex.HasField("completed_at"):
            return
        self._rest(vertex.id)
        if vertex.cached:
            self._print(f"{head} CACHED")
        elif vertex.canceled:
            self._print(f"{head} CANCELED")
        elif vertex.error:
            self._print(f"{head} ERROR: {_clean(vertex.error)}")
        else:
            self._print(f"{head} DONE {_seconds(vertex):.1f}s")
        self._print("")
        self._current = ""

    def _log(self, event: pb.BuildEvent) -> None:
        head = self._turn(event.log.vertex)
        text = self._pending.pop(event.log.vertex, "") + event.log.data.decode("utf-8", "replace")
        *lines, rest = text.split("\n")
        began = self.vertices[event.log.vertex].started_at.ToNanoseconds()
        after = (event.time.ToNanoseconds() - began) / _NANO
        for line in lines:
            self._print(f"{head} {after:.3f} {_clean(line)}")
        if rest:
            self._pending[event.log.vertex] = rest

    def _rest(self, vertex: str) -> None:
        rest = self._pending.pop(vertex, "")
        if rest:
            self._print(f"{self._turn(vertex)} {_clean(rest)}")

    def _status(self, status: pb.VertexStatus) -> None:
        if status.completed:
            size = f" {human_size(status.current, 4)}" if status.current > 1 else ""
            self._print(
                f"{self._turn(status.vertex)} {_clean(status.id)}:{size} done".replace(
                    ": done", " done"
                )
            )

    def _print(self, text: str) -> None:
        self._out.write(text + "\n")


class RawJson(View):
    """Each event as a line of JSON."""

    def take(self, event: pb.BuildEvent, kind: str) -> None:
        """Show one event."""
        from google.protobuf.json_format import MessageToDict

        super().take(event, kind)
        self._out.write(json.dumps(MessageToDict(event, preserving_proto_field_name=True)) + "\n")
        self._out.flush()


class Screen(View):
    """What runs, with times and the last lines of its output, drawn again and again on a terminal."""

    def __init__(self, out: TextIO) -> None:
        import threading

        super().__init__(out)
        self._drawn = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._done: set[str] = set()
        self._thread = threading.Thread(target=self._draw_often, daemon=True)

    def follow(self, events: Iterable[pb.BuildEvent]) -> pb.BuildResult | None:
        """Show events until they end; return the result."""
        self._thread.start()
        return super().follow(events)

    def take(self, event: pb.BuildEvent, kind: str) -> None:
        """Take one event; it is shown with the next frame."""
        with self._lock:
            super().take(event, kind)

    def _draw_often(self) -> None:
        while not self._ended.wait(_FRAME):
            with self._lock:
                self._draw()

    def finish(self) -> None:
        """Draw the last frame."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._draw(last=True)

    def _draw(self, *, last: bool = False) -> None:
        columns, rows = shutil.get_terminal_size()
        if self._drawn:
            control(self._out, f"\x1b[{self._drawn}A\x1b[J")
        for vertex in self.vertices.values():
            if vertex.HasField("completed_at") and vertex.id not in self._done:
                self._done.add(vertex.id)
                self._out.write(
                    _fit(f" => {_state(vertex)}{_clean(vertex.name)}", _time(vertex), columns)
                    + "\n"
                )
        lines = [] if last else self._running(columns)
        count = len(self.vertices)
        head = f"[+] Building {time.monotonic() - self._began:.1f}s ({len(self._done)}/{count})"
        shown = [head[:columns], *lines][: max(rows - 1, 1)]
        self._out.write("".join(line + "\n" for line in shown))
        self._out.flush()
        self._drawn = len(shown)

    def _running(self, columns: int) -> list[str]:
        lines = []
        for vertex in self.vertices.values():
            if vertex.HasField("completed_at"):
                continue
            lines.append(_fit(f" => {_clean(vertex.name)}", _time(vertex), columns))
            tail = list(self.lines.get(vertex.id, ()))[-_TAIL:]
            lines += [f" => => # {_clean(line)}"[:columns] for line in tail]
        return lines


def _state(vertex: pb.Vertex) -> str:
    if vertex.cached:
        return "CACHED "
    if vertex.canceled:
        return "CANCELED "
    return "ERROR " if vertex.error else ""


def _time(vertex: pb.Vertex) -> str:
    return f"{_seconds(vertex):.1f}s"


def _seconds(vertex: pb.Vertex) -> float:
    end = vertex.completed_at.ToNanoseconds() if vertex.HasField("completed_at") else time.time_ns()
    return max(end - vertex.started_at.ToNanoseconds(), 0) / _NANO


def _fit(text: str, end: str, columns: int) -> str:
    room = max(columns - len(end) - 1, 1)
    return f"{text[:room]:<{room}} {end}"


def _clean(text: str) -> str:
    """Return a stranger's text without what would move the cursor."""
    return visible(text.replace("\r", "").replace("\t", "    ").replace("\n", " "))


def failure(view: View, message: str, text: str, name: str, line: int) -> list[str]:
    """Return the lines that tell why a build failed.

    Args:
        view: What was shown.
        message: Of the error.
        text: The Dockerfile.
        name: Its name.
        line: The line of the step that failed; 0 where it is not known.
    """
    shown = []
    vertex = view.failed()
    if vertex is not None and view.lines.get(vertex.id):
        shown += ["------", f" > {_clean(vertex.name)}:"]
        shown += [_clean(each) for each in view.lines[vertex.id]]
        shown.append("------")
    if line:
        last = vertex.last_line if vertex is not None and vertex.line == line else line
        shown += excerpt(text, name, line, last)
    shown.append(f"ERROR: failed to build: failed to solve: {_clean(message)}")
    return shown


def excerpt(text: str, name: str, first: int, last: int) -> list[str]:
    """Return lines of a Dockerfile with those around them, marked."""
    lines = text.splitlines()
    begin, end = max(first - 2, 1), min(max(first, last) + 2, len(lines))
    shown = [f"{name}:{first}", "--------------------"]
    for number in range(begin, end + 1):
        mark = ">>>" if first <= number <= max(first, last) else "   "
        shown.append(f"{number:4} | {mark} {_clean(lines[number - 1])}")
    return [*shown, "--------------------"]
