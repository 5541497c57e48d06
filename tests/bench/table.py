"""Rows of measurements as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# MiB that the image service and its workers may take at their peak.
PEAK_MAX = 200.0


@dataclass
class Row:
    """One thing that was measured with several engines.

    Attributes:
        what: Name of the row.
        unit: Of the values, "ms" or "MiB".
        values: The median for each engine; "scow" is among them.
        budget: Largest ratio to the peer that the design allows, or None.
        limit: Largest value that the design allows, or None.
        peer: Engine that the budget is about.
        peak: MiB that the image service and its workers took at most.
    """

    what: str
    unit: str
    values: dict[str, float] = field(default_factory=dict)
    budget: float | None = None
    limit: float | None = None
    peer: str = "docker"
    peak: float | None = None

    @property
    def within(self) -> bool | None:
        """Whether the budget is kept; None when nothing can be said."""
        scow = self.values.get("scow")
        if scow is None:
            return None
        if self.peak is not None and self.peak > PEAK_MAX:
            return False
        if self.limit is not None:
            return scow <= self.limit
        peer = self.values.get(self.peer)
        return None if peer is None or self.budget is None else scow <= peer * self.budget


_WORDS = {True: "yes", False: "NO", None: "-"}


def render(rows: Sequence[Row], engines: Sequence[str]) -> str:
    """Return the table as Markdown: medians, each peer's ratio to scow, and whether the budget is kept."""
    peers = [engine for engine in engines if engine != "scow"]
    head = ["what", *engines, *(f"{peer}/scow" for peer in peers), "peak", "budget", "kept"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [row.what]
        cells += [_number(row.values.get(engine), row.unit) for engine in engines]
        cells += [_ratio(row.values.get(peer), row.values.get("scow")) for peer in peers]
        cells.append(_number(row.peak, "MiB"))
        lines.append([*cells, _budget(row), _WORDS[row.within]])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines[1] = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.1f} {unit}"


def _ratio(peer: float | None, scow: float | None) -> str:
    return f"{peer / scow:.1f}" if peer and scow else "-"


def _budget(row: Row) -> str:
    if row.limit is not None:
        return f"{row.limit:g} {row.unit}"
    return "-" if row.budget is None else f"{row.budget:.2f} x {row.peer}"
