"""What a verb prints for one object in several lines stays several lines on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from scow.api.build.v1 import build_pb2
from scow.api.container.v1 import container_pb2
from scow.api.container.v1.supervision_pb2 import Stage, Timings
from scow.api.image.v1 import image_pb2
from scow.cli.context import Context
from scow.cli.flags.parser import Verb, parse
from scow.cli.io.terminal_text import TerminalText
from scow.cli.verbs.build import cache
from scow.cli.verbs.image import change
from scow.cli.verbs.system import inspect


class _Engine:
    """An engine as far as these verbs ask for it."""

    @property
    def containers(self) -> _Engine:
        return self

    images = builds = containers

    def get(self, name: str) -> container_pb2.Container:
        stages = [Stage(name="bundle", duration=1_000_000), Stage(name="exec", duration=500_000)]
        timings = Timings(trace_id="t", duration=2_000_000, stages=stages)
        return container_pb2.Container(name=name, start_timings=timings)

    def remove(self, name: str, *, force: bool) -> image_pb2.RemoveResponse:
        return image_pb2.RemoveResponse(untagged=[name], deleted=["sha256:0"])

    def prune(self, **_: object) -> build_pb2.PruneResponse:
        return build_pb2.PruneResponse(space_reclaimed=0)


@pytest.mark.parametrize(
    ("verbs", "path", "arguments", "lines"),
    [
        (
            inspect.VERBS,
            "inspect",
            ["--timings", "web"],
            ["web started in 2.00 ms, trace t", "  bundle ", "  exec "],
        ),
        (change.VERBS, "rmi", ["own:1"], ["Untagged: own:1", "Deleted: sha256:0"]),
        (cache.VERBS, "builder prune", ["-f"], ["Total:\t0B"]),
    ],
)
def test_on_a_terminal(
    verbs: tuple[Verb, ...],
    path: str,
    arguments: list[str],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", TerminalText(io.TextIOWrapper(written)))
    context = Context()
    monkeypatch.setattr(context, "_client", _Engine())
    (verb,) = (verb for verb in verbs if verb.path == path)
    assert verb.run(parse(verb.flags, arguments), context) == 0
    sys.stdout.flush()
    shown = written.getvalue().decode().splitlines()
    assert len(shown) == len(lines)
    assert all(line.startswith(begin) for line, begin in zip(shown, lines, strict=True))
