"""Rows about commits."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.measure import Action, Bench, Peak, containers, take_turns_between
from tests.bench.table import Row
from tests.support import processes

CHANGED = 5000
_IMAGE = "localhost/committed"
_CHANGE = f"""
text=$(head -c 6000 /dev/urandom | base64)
for folder in $(seq {CHANGED // 100}); do
    mkdir -p /changed/$folder
    for file in $(seq 100); do echo "$folder $file $text" > /changed/$folder/$file; done
done
echo done
exec sleep 10000
"""


def commit(bench: Bench) -> Row:
    """Commit of a running container with 5,000 changed files."""
    return _commit(bench, f"commit, {CHANGED:,} changed files", then_run=False)


def commit_and_run(bench: Bench) -> Row:
    """The same, and a container of the new image."""
    return _commit(bench, f"commit, {CHANGED:,} changed files, and run", then_run=True)


def _commit(bench: Bench, what: str, *, then_run: bool) -> Row:
    with containers(bench, 1, ["sh", "-c", _CHANGE]) as ids:
        _wait_for_changes(bench, ids)
        actions: dict[str, Action] = {"scow": _scow(bench, ids["scow"][0], then_run)}
        after: dict[str, Action] = {"scow": lambda: bench.client.images.remove(_IMAGE)}
        for name, peer in bench.peers.items():
            actions[name] = _peer(peer.cli, ids[name][0], then_run)
            after[name] = lambda peer=peer: peer.cli("rmi", _IMAGE)  # type: ignore[misc]
        row = Row(what, "ms", budget=1.0)
        with Peak(bench) as peak:
            row.values = take_turns_between(actions, bench.few, after)
        row.peak = peak.mib
    return row


def _scow(bench: Bench, container: str, then_run: bool) -> Action:
    def act() -> None:
        bench.client.containers.commit(container, _IMAGE)
        if then_run:
            bench.client.containers.run(_IMAGE, ["true"], auto_remove=True)

    return act


def _peer(cli: Callable[..., str], container: str, then_run: bool) -> Action:
    def act() -> None:
        cli("commit", "--pause=true", container, _IMAGE)
        if then_run:
            cli("run", "--rm", _IMAGE, "true")

    return act


def _wait_for_changes(bench: Bench, ids: dict[str, list[str]]) -> None:
    def done() -> bool:
        logs = [bench.engine.cli("logs", ids["scow"][0]).stdout]
        logs += [peer.cli("logs", ids[name][0]) for name, peer in bench.peers.items()]
        return all("done" in log for log in logs)

    processes.wait_for(done, "the changed files", 120)
