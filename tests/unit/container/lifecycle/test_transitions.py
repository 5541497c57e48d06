"""What is on record after each transition, and what an exit leads to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import RestartPolicy
from scow.container.lifecycle.transitions import Execution, Next, Transitions, after_exit
from scow.container.model.containers import Containers, Entry
from scow.container.store import MIGRATIONS, ContainerStore
from scow.contract.errors import CommandNotFound, MountFailed, ScowError, ServiceUnavailable
from scow.contract.shim_files import Exit
from scow.core.journal import Journal
from scow.core.store import Store

# What is on record only while a process is there.
_RUNNING_ONLY = ("pid", "netns_path", "endpoints", "ports", "resolv_conf_path", "hosts_path")
_EXECUTION = Execution(
    pid=42,
    netns_path="/proc/42/ns/net",
    started_ns=1_000,
    network=pb.Container(
        endpoints=[pb.Endpoint(network="bridge")], resolv_conf_path="/r", hosts_path="/h"
    ),
    warnings=("no swap",),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "container.db", MIGRATIONS)
    yield store
    store.close()


@pytest.fixture
def containers(store: Store) -> Containers:
    return Containers(ContainerStore(store), Journal(store, "test", 1000))


@pytest.fixture
def transitions(containers: Containers) -> Transitions:
    return Transitions(containers)


@pytest.fixture
def entry(containers: Containers) -> Entry:
    config = pb.ContainerConfig(auto_remove=True)
    return containers.reserve(
        pb.Container(id="a" * 64, name="web", status=pb.STATUS_CREATED, config=config)
    )


def events(store: Store) -> list[str]:
    return [row["action"] for row in store.all("SELECT action FROM journal ORDER BY revision")]


def test_a_start_is_recorded_with_all_that_it_has(
    transitions: Transitions, entry: Entry, store: Store
) -> None:
    transitions.started(entry, _EXECUTION)
    found = entry.described
    assert (found.status, found.pid, found.resolv_conf_path) == (pb.STATUS_RUNNING, 42, "/r")
    assert found.started_at.ToNanoseconds() == 1_000
    assert list(found.warnings) == ["no swap"]
    [row] = ContainerStore(store).all()
    assert found == row.described, "memory and table differ"
    assert events(store) == ["start"]


def test_an_exit_clears_what_only_a_process_has(
    transitions: Transitions, entry: Entry, store: Store
) -> None:
    transitions.started(entry, _EXECUTION)
    transitions.exited(entry, Exit(137, 0, 2_000, oom_killed=True))
    found = entry.described
    assert (found.status, found.exit_code, found.oom_killed) == (pb.STATUS_EXITED, 137, True)
    assert found.finished_at.ToNanoseconds() == 2_000
    for field in _RUNNING_ONLY:
        assert not getattr(found, field), field
    assert entry.exits == 1
    assert events(store) == ["start", "oom", "die"]


def test_a_start_after_an_exit_forgets_how_that_was(transitions: Transitions, entry: Entry) -> None:
    transitions.exited(entry, Exit(137, 0, 2_000, oom_killed=True, error="it was killed"))
    transitions.started(entry, _EXECUTION)
    found = entry.described
    assert (found.exit_code, found.oom_killed, found.error) == (0, False, "")


@pytest.mark.parametrize(
    ("error", "code"), [(CommandNotFound("no"), 127), (MountFailed("no"), 128)]
)
def test_a_start_that_failed(
    transitions: Transitions, entry: Entry, error: ScowError, code: int
) -> None:
    transitions.not_started(entry, error)
    found = entry.described
    assert (found.status, found.exit_code, found.error) == (pb.STATUS_CREATED, code, "no")


def test_a_freeze_is_recorded_once_and_not_after_the_end(
    transitions: Transitions, entry: Entry, store: Store
) -> None:
    transitions.started(entry, _EXECUTION)
    transitions.paused(entry)
    transitions.paused(entry)
    assert entry.described.status == pb.STATUS_PAUSED
    transitions.unpaused(entry)
    transitions.exited(entry, Exit(0, 0, 2_000))
    transitions.paused(entry)
    assert entry.described.status == pb.STATUS_EXITED
    assert events(store) == ["start", "pause", "unpause", "die"]


def test_one_that_was_frozen_since_its_start(transitions: Transitions, entry: Entry) -> None:
    transitions.started(entry, _EXECUTION, paused=True)
    assert entry.described.status == pb.STATUS_PAUSED


def test_what_an_exit_leads_to(transitions: Transitions, entry: Entry) -> None:
    transitions.started(entry, _EXECUTION)
    assert after_exit(entry) is Next.NOTHING, "it has not ended"
    transitions.exited(entry, Exit(0, 0, 2_000))
    assert after_exit(entry) is Next.REMOVE
    entry.restarting = True
    assert after_exit(entry) is Next.NOTHING
    entry.restarting = False
    entry.described.config.auto_remove = False
    assert after_exit(entry) is Next.NOTHING


def supervised(entry: Entry, **fields: object) -> None:
    entry.described.config.auto_remove = False
    entry.described.config.restart_policy.CopyFrom(RestartPolicy(name="always", **fields))  # type: ignore[arg-type]


def test_an_exit_with_a_policy_is_one_record_with_the_restart(
    containers: Containers, entry: Entry, store: Store
) -> None:
    transitions = Transitions(containers, chance=lambda: 1.0)
    supervised(entry, jitter=50)
    transitions.started(entry, _EXECUTION)
    transitions.exited(entry, Exit(1, 0, 2_000))
    [row] = ContainerStore(store).all()
    found = row.described
    assert (found.status, found.restart_count) == (pb.STATUS_RESTARTING, 1)
    assert found.restart.delay == 100_000_000
    assert found.restart.due_at.ToNanoseconds() == 2_000 + 150_000_000
    assert after_exit(entry) is Next.RESTART
    transitions.started(entry, _EXECUTION)
    assert (entry.described.restart_count, entry.described.restart.delay) == (1, 100_000_000)
    transitions.exited(entry, Exit(1, 0, 3_000))
    assert (entry.described.restart_count, entry.described.restart.delay) == (2, 200_000_000)


def test_an_asked_for_end_is_no_cause_to_restart(transitions: Transitions, entry: Entry) -> None:
    supervised(entry)
    transitions.started(entry, _EXECUTION)
    transitions.end_asked(entry, "stop", 15, stops=True)
    transitions.exited(entry, Exit(0, 0, 2_000))
    assert entry.described.status == pb.STATUS_EXITED
    assert (entry.described.end_request.action, entry.described.end_request.signal) == ("stop", 15)
    transitions.started(entry, _EXECUTION)
    assert not entry.described.restart.stopped
    assert not entry.described.HasField("end_request")


def test_a_restart_that_failed_counts_unless_a_service_was_away(
    transitions: Transitions, entry: Entry, store: Store
) -> None:
    supervised(entry, jitter=0)
    transitions.started(entry, _EXECUTION)
    transitions.exited(entry, Exit(1, 0, 2_000))
    transitions.not_started(entry, ServiceUnavailable("no network service"))
    found = entry.described
    assert (found.status, found.restart_count) == (pb.STATUS_RESTARTING, 1)
    assert found.restart.delay == 200_000_000
    transitions.not_started(entry, CommandNotFound("no such file"))
    found = entry.described
    assert (found.status, found.restart_count, found.exit_code) == (pb.STATUS_RESTARTING, 2, 127)
    assert events(store) == ["start", "die", "die"]
