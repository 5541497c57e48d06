"""Showing a pull, push or load: redrawn lines on a terminal, one line for each event elsewhere."""

from __future__ import annotations

import os
import time

from scow.cli.io.terminal_text import control, one_line
from scow.words.references import familiar, parted, with_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from scow.api.image.v1.archive_pb2 import LoadResponse, LoadResult
    from scow.api.image.v1.image_pb2 import Image, LayerProgress, PullResponse
    from scow.api.image.v1.registry_pb2 import PushResponse, PushResult
    from scow.client import Stream

# What Docker calls the phases of the contract, of a pull and of a push.
_PULL_WORDS = {
    1: "Waiting",
    2: "Downloading",
    3: "Verifying Checksum",
    4: "Extracting",
    5: "Pull complete",
    6: "Already exists",
}
_PUSH_WORDS = {
    1: "Preparing",
    5: "Pushed",
    6: "Layer already exists",
    7: "Pushing",
    8: "Mounted from another repository",
}
_DONE, _EXISTS = 5, 6
_WITH_BAR = (2, 4, 7)
# Of the phases, those that a log is told: the others pass in a moment.
_PULL_LOGGED = (2, 5, 6)
_PUSH_LOGGED = (5, 6, 8)
# Seconds between two drawings of a screen.
_FRAME = 0.08


def show_pull(
    pulling: Stream[PullResponse],
    asked: str,
    out: TextIO,
    *,
    quiet: bool = False,
    before: Iterable[str] | None = None,
) -> Image:
    """Show a pull until it ends, and return the image. Left early, the pull is cancelled.

    Args:
        pulling: The pull.
        asked: The reference as the user gave it.
        out: Where to show it.
        quiet: Show nothing.
        before: Digest references of the image that the reference meant before; with another digest it is new also
            when all of its layers are here. None means that layers alone decide.

    Raises:
        ScowError: The pull failed.
    """
    view = _View() if quiet else (_Screen if out.isatty() else _Lines)(asked, out)
    view.before = before
    image = None
    with pulling, view:
        for message in pulling:
            kind = message.WhichOneof("message")
            if kind == "resolved":
                view.resolved(message.resolved)
            elif kind == "layer":
                view.layer(message.layer)
            else:
                image = message.image
    if image is None:
        from scow.contract.errors import DataLoss

        raise DataLoss("the pull ended without an image", what="image", do="pull it again")
    view.finish()
    return image


def show_push(
    pushing: Stream[PushResponse], asked: str, out: TextIO, *, quiet: bool = False
) -> PushResult:
    """Show a push until it ends, and return the result. Left early, the push is cancelled.

    Args:
        pushing: The push.
        asked: The reference as the user gave it.
        out: Where to show it.
        quiet: Show nothing.

    Raises:
        ScowError: The push failed.
    """
    view = _View() if quiet else (_PushScreen if out.isatty() else _PushLines)(asked, out)
    result = None
    with pushing, view:
        for message in pushing:
            kind = message.WhichOneof("message")
            if kind == "layer":
                view.layer(message.layer)
            elif kind == "result":
                result = message.result
    if result is None:
        from scow.contract.errors import DataLoss

        raise DataLoss("the push ended without a result", what="image", do="push it again")
    return result


def show_load(loading: Stream[LoadResponse], out: TextIO, *, quiet: bool = False) -> LoadResult:
    """Show a load on a terminal until it ends, and return its result. Left early, the load is given up.

    Raises:
        ScowError: The load failed.
    """
    view = _Screen("", out) if out.isatty() and not quiet else _View()
    with loading, view:
        for message in loading:
            if message.WhichOneof("message") == "result":
                return message.result
            view.layer(message.layer)
    from scow.contract.errors import DataLoss

    raise DataLoss("the load ended without a result", what="archive", do="load it again")


class _View:
    """What a pull tells, shown nowhere."""

    resolution = ""

    def __init__(self) -> None:
        self.phases: dict[str, int] = {}
        self.before: Iterable[str] | None = None

    def __enter__(self) -> _View:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def resolved(self, reference: str) -> None:
        """The registry told what the reference stands for."""
        self.resolution = f"{parted(reference)[0]}@{reference.partition('@')[2]}"

    def layer(self, layer: LayerProgress) -> None:
        """A layer made progress."""
        self.phases[layer.digest] = layer.phase

    def finish(self) -> None:
        """The image is there."""

    @property
    def is_new(self) -> bool:
        """Something was fetched, or the reference means another image than before."""
        if self.before is not None and self.resolution not in self.before:
            return True
        if any(phase != _EXISTS for phase in self.phases.values()):
            return True
        return self.before is None and not self.phases


class _Lines(_View):
    """Plain lines."""

    words = _PULL_WORDS
    logged: tuple[int, ...] = _PULL_LOGGED

    def __init__(self, asked: str, out: TextIO) -> None:
        super().__init__()
        self._asked = asked
        self._out = out

    def resolved(self, reference: str) -> None:
        super().resolved(reference)
        path = parted(reference)[0].partition("/")[2]
        _, tag = parted(self._asked)
        what = familiar(self._asked) if "@" in self._asked else tag or "latest"
        self._say(f"{what}: Pulling from {path}")

    def layer(self, layer: LayerProgress) -> None:
        before = self.phases.get(layer.digest)
        super().layer(layer)
        if layer.phase != before:
            self._changed(layer)

    def _changed(self, layer: LayerProgress) -> None:
        if layer.phase in self.logged:
            self._say(f"{short_digest(layer.digest)}: {self.words[layer.phase]}")

    def finish(self) -> None:
        if self.resolution:
            self._say(f"Digest: {self.resolution.partition('@')[2]}")
        name = with_tag(familiar(self._asked))
        if self.is_new:
            self._say(f"Status: Downloaded newer image for {name}")
        else:
            self._say(f"Status: Image is up to date for {name}")

    def _say(self, line: str) -> None:
        print(one_line(line, self._out), file=self._out, flush=True)


class _Screen(_Lines):
    """One line a layer, each redrawn where it stands."""

    def __init__(self, asked: str, out: TextIO) -> None:
        super().__init__(asked, out)
        self._layers: dict[str, str] = {}
        self._drawn = 0
        self._last = 0.0

    def __exit__(self, *_: object) -> None:
        self._draw()

    def layer(self, layer: LayerProgress) -> None:
        changed = self.phases.get(layer.digest) != layer.phase
        super().layer(layer)
        self._layers[layer.digest] = _layer_line(layer, self.words)
        now = time.monotonic()
        if changed or now - self._last >= _FRAME:
            self._last = now
            self._draw()

    def _changed(self, layer: LayerProgress) -> None:
        pass

    def _draw(self) -> None:
        if not self._layers:
            return
        rows, columns = _terminal_size(self._out.fileno())
        # A line that has scrolled away cannot be redrawn: of very many layers, show the last.
        shown = list(self._layers.values())[-(rows - 1) :]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"\x1b[2K{one_line(line, self._out)[: columns - 1]}\n" for line in shown)
        self._drawn = len(shown)
        control(self._out, up + body)
        self._out.flush()


class _PushLines(_Lines):
    words = _PUSH_WORDS
    logged = _PUSH_LOGGED


class _PushScreen(_Screen):
    words = _PUSH_WORDS


def _terminal_size(descriptor: int) -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return 24, 80
    return max(rows, 2), max(columns, 20)


def _layer_line(layer: LayerProgress, words: dict[int, str]) -> str:
    line = f"{short_digest(layer.digest)}: {words.get(layer.phase, 'Waiting')}"
    if layer.phase not in _WITH_BAR or layer.total <= 0:
        return line
    return f"{line:<28} {bar(layer.current, layer.total)}"


def bar(current: int, total: int, width: int = 40) -> str:
    """Return "[====>   ]  1.2MB/4.8MB"."""
    from scow.words.units import human_size

    filled = min(width, width * current // total)
    body = "=" * (filled - 1) + ">" if filled else ""
    return f"[{body:<{width}}] {human_size(current):>8}/{human_size(total)}"


def short_digest(digest: str) -> str:
    """Return the first twelve hexadecimal digits."""
    return digest.partition(":")[2][:12] or digest[:12]
