"""A picture of a build as SVG: steps as boxes, what needs what as lines, times, and what came from the cache."""

from __future__ import annotations

from xml.sax.saxutils import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.api.build.v1 import build_pb2 as pb

_WIDTH, _HEIGHT = 300, 44
_GAP_X, _GAP_Y, _MARGIN = 60, 18, 20
_SHOWN = 40
_NANO = 1_000_000_000
_COLOURS = {"done": "#dbe9ff", "cached": "#e2f5e0", "failed": "#ffd9d6", "canceled": "#eeeeee"}


def svg(vertices: Sequence[pb.Vertex]) -> str:
    """Return the picture.

    Args:
        vertices: The steps; each comes after those that it needs.
    """
    places = _places(vertices)
    columns = 1 + max((column for column, _ in places.values()), default=0)
    rows = 1 + max((row for _, row in places.values()), default=0)
    width = columns * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = rows * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-size="12">'
    ]
    for vertex in vertices:
        parts += [
            _line(places[each], places[vertex.id]) for each in vertex.inputs if each in places
        ]
    parts += [_box(vertex, places[vertex.id]) for vertex in vertices]
    return "\n".join([*parts, "</svg>", ""])


def _places(vertices: Sequence[pb.Vertex]) -> dict[str, tuple[int, int]]:
    """Return column and row of each step: one column to the right of what it needs."""
    places: dict[str, tuple[int, int]] = {}
    used: dict[int, int] = {}
    for vertex in vertices:
        column = 1 + max((places[each][0] for each in vertex.inputs if each in places), default=-1)
        row = used.get(column, 0)
        used[column] = row + 1
        places[vertex.id] = (column, row)
    return places


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    column, row = place
    return _MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y)


def _line(begin: tuple[int, int], end: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = _corner(begin), _corner(end)
    x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    middle = (x1 + x2) // 2
    path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return f'<path d="{path}" fill="none" stroke="#888"/>'


def _box(vertex: pb.Vertex, place: tuple[int, int]) -> str:
    x, y = _corner(place)
    state = _state(vertex)
    name = vertex.name if len(vertex.name) <= _SHOWN else vertex.name[: _SHOWN - 1] + "…"
    spent = vertex.completed_at.ToNanoseconds() - vertex.started_at.ToNanoseconds()
    told = (
        f"{state}, {max(spent, 0) / _NANO:.2f} s" if vertex.HasField("completed_at") else "not done"
    )
    return (
        f"<g><title>{_text(vertex.name)}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5"'
        f' fill="{_COLOURS[state]}" stroke="#555"/>'
        f'<text x="{x + 8}" y="{y + 18}">{_text(name)}</text>'
        f'<text x="{x + 8}" y="{y + 35}" fill="#555">{told}</text></g>'
    )


def _state(vertex: pb.Vertex) -> str:
    if vertex.cached:
        return "cached"
    if vertex.canceled:
        return "canceled"
    return "failed" if vertex.error else "done"


def _text(text: str) -> str:
    """Return a text as XML has it, without the characters that XML has no form for."""
    return escape("".join(char if char.isprintable() else " " for char in text))
