"""The picture of a build."""

from __future__ import annotations

from xml.etree import ElementTree

from scow.api.build.v1 import build_pb2 as pb
from scow.cli.output.build_graph import svg

_SVG = "{http://www.w3.org/2000/svg}"


def vertex(number: str, name: str, *inputs: str, **fields: bool | str) -> pb.Vertex:
    found = pb.Vertex(id=number, name=name, inputs=inputs, **fields)  # type: ignore[arg-type]
    found.started_at.FromSeconds(10)
    found.completed_at.FromSeconds(12)
    return found


def test_steps_stand_to_the_right_of_what_they_need() -> None:
    steps = [
        vertex("1", "FROM a"),
        vertex("2", "FROM b", cached=True),
        vertex("3", "RUN <x> & \x1b[31m'y'", "1", error="no"),
        vertex("4", "COPY " + "long" * 30, "2", "3"),
    ]
    root = ElementTree.fromstring(svg(steps))
    boxes = root.findall(f".//{_SVG}rect")
    lefts = [int(box.get("x") or 0) for box in boxes]
    assert lefts[0] == lefts[1] < lefts[2] < lefts[3]
    assert len(root.findall(f"{_SVG}path")) == 3
    texts = [text.text for text in root.findall(f".//{_SVG}text")]
    assert texts[1::2] == ["done, 2.00 s", "cached, 2.00 s", "failed, 2.00 s", "done, 2.00 s"]
    assert texts[4] == "RUN <x> &  [31m'y'"
    assert len(texts[6] or "") == 40


def test_a_build_without_steps() -> None:
    assert ElementTree.fromstring(svg([])).tag == f"{_SVG}svg"
