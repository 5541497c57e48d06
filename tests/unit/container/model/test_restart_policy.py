"""Which policy restarts what, and after which pause."""

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import RestartPolicy, RestartState
from scow.container.model import restart_policy
from scow.contract.errors import InvalidConfig
from scow.core.config import ContainerSection

SECOND = 10**9


def ended(name: str, most: int = 0, count: int = 0, *, stopped: bool = False) -> pb.Container:
    policy = RestartPolicy(name=name, maximum_retry_count=most)
    return pb.Container(
        config=pb.ContainerConfig(restart_policy=policy),
        restart_count=count,
        restart=RestartState(stopped=stopped),
    )


@pytest.mark.parametrize(
    ("described", "code", "expected"),
    [
        (pb.Container(), 1, False),
        (ended("no"), 1, False),
        (ended("always"), 0, True),
        (ended("unless-stopped"), 137, True),
        (ended("on-failure"), 0, False),
        (ended("on-failure"), 1, True),
        (ended("on-failure", count=1000), 1, True),
        (ended("on-failure", 3, 2), 1, True),
        (ended("on-failure", 3, 3), 1, False),
        (ended("always", stopped=True), 1, False),
        (ended("on-failure", stopped=True), 1, False),
    ],
)
def test_what_is_restarted(described: pb.Container, code: int, expected: bool) -> None:
    assert restart_policy.restarts(described, code) is expected


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (ended("no"), False),
        (ended("on-failure"), False),
        (ended("always", stopped=True), True),
        (ended("unless-stopped"), True),
        (ended("unless-stopped", stopped=True), False),
    ],
)
def test_what_starts_with_the_machine(described: pb.Container, expected: bool) -> None:
    assert restart_policy.starts_at_boot(described) is expected


def test_pauses_are_docker_s() -> None:
    pauses = restart_policy.backoff(RestartPolicy(), ContainerSection())
    found, pause = [], 0
    for _ in range(12):
        pause = pauses.next_ns(pause, 0)
        found.append(pause / SECOND)
    assert found == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]
    assert pauses.next_ns(pause, 10 * SECOND) == SECOND // 10
    assert pauses.next_ns(pause, 10 * SECOND - 1) == 60 * SECOND


def test_a_container_has_pauses_of_its_own() -> None:
    policy = RestartPolicy(delay=5, delay_max=8, reset_after=7, jitter=50)
    pauses = restart_policy.backoff(policy, ContainerSection())
    assert [pauses.next_ns(0, 0), pauses.next_ns(5, 0), pauses.next_ns(8, 7)] == [5, 8, 5]
    assert pauses.jitter == 0.5
    assert restart_policy.backoff(RestartPolicy(jitter=0), ContainerSection()).jitter == 0


def test_jitter_adds_a_part() -> None:
    assert restart_policy.jittered(100, 0.5, lambda: 1.0) == 150
    assert restart_policy.jittered(100, 0.5, lambda: 0.0) == 100


@pytest.mark.parametrize(
    "policy",
    [
        RestartPolicy(name="sometimes"),
        RestartPolicy(name="always", maximum_retry_count=1),
        RestartPolicy(maximum_retry_count=1),
        RestartPolicy(name="on-failure", maximum_retry_count=-1),
        RestartPolicy(name="always", delay=-1),
        RestartPolicy(name="always", delay_max=10**18),
        RestartPolicy(name="always", jitter=101),
    ],
)
def test_policies_that_mean_nothing_are_refused(policy: RestartPolicy) -> None:
    with pytest.raises(InvalidConfig):
        restart_policy.check(policy, auto_remove=False)


def test_a_container_is_removed_or_restarted() -> None:
    with pytest.raises(InvalidConfig):
        restart_policy.check(RestartPolicy(name="always"), auto_remove=True)
    restart_policy.check(RestartPolicy(name="no"), auto_remove=True)
