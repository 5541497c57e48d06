"""Views of builds."""

from __future__ import annotations

import io
import threading

from scow.api.build.v1 import build_pb2 as pb
from scow.cli.output.build_progress import make_view


def test_the_screen_is_drawn_while_a_build_is_followed() -> None:
    out, before = io.StringIO(), threading.active_count()
    view = make_view(out, "tty")
    assert threading.active_count() == before  # what is refused before leaves no thread
    event = pb.BuildEvent(vertex=pb.Vertex(id="1", name="RUN true"))
    event.vertex.started_at.FromSeconds(1)
    event.vertex.completed_at.FromSeconds(3)
    assert view.follow([event]) is None
    assert threading.active_count() == before
    assert " => RUN true" in out.getvalue()
    assert "(1/1)" in out.getvalue()
