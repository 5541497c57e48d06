"""The corpus: layers that are hostile, wrong, or odd but legal, each with what must become of it."""

from __future__ import annotations

from tests.support.layers import ends, kinds, links, names, numbers, sparse, whiteouts, xattrs
from tests.support.layers.case import Case

_PARTS = {
    "names": names.CASES,
    "links": links.CASES,
    "whiteouts": whiteouts.CASES,
    "kinds": kinds.CASES,
    "numbers": numbers.CASES,
    "sparse": sparse.CASES,
    "xattrs": xattrs.CASES,
    "ends": ends.CASES,
}
# By "PART: CASE".
CORPUS: dict[str, Case] = {
    f"{part}: {case.name}": case for part, cases in _PARTS.items() for case in cases
}
