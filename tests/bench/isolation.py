"""Rows about isolation."""

from __future__ import annotations

from tests.bench.measure import IMAGE, Action, Bench, take_turns
from tests.bench.table import Row

# What a user namespace may cost over a start without.
_OVER_HOST = 1.1


def user_namespace(bench: Bench) -> Row:
    """Create, start, wait and remove with a user namespace of its own, over the same without."""

    def life(mode: str) -> Action:
        def act() -> None:
            made = bench.client.containers
            created = made.create(IMAGE, ["true"], network="none", userns_mode=mode)
            made.start(created.id)
            made.wait(created.id)
            made.remove(created.id)

        return act

    found = take_turns({"auto": life("auto"), "host": life("host")}, bench.rounds * 2)
    row = Row("a container's life with a user namespace, over without", "ratio", limit=_OVER_HOST)
    row.values = {"scow": found["auto"] / found["host"]}
    return row
