"""Restart policies: which of them start a container again that has ended, and after which pause. No clock is read.

The rules are Docker's (https://docs.docker.com/engine/containers/start-containers-automatically/): the first pause is
100 ms, each further one is twice as long up to a minute, and they begin anew after the container ran for ten seconds.
Docker's "on-failure" counts restarts since the user's start, also successful ones, and so does this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import RestartPolicy
from scow.container.model.invalid import invalid
from scow.core.config import ContainerSection

_NS = 1_000_000_000
NAMES = ("no", "always", "on-failure", "unless-stopped")
_LONGEST_NS = 24 * 3600 * _NS


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses before restarts.

    Attributes:
        first_ns: The first one.
        longest_ns: The longest one.
        reset_ns: How long a container runs until they begin anew.
        jitter: Part of itself by which a pause is longer at most, at random.
    """

    first_ns: int
    longest_ns: int
    reset_ns: int
    jitter: float

    def next_ns(self, before_ns: int, ran_ns: int) -> int:
        """Return the pause, without jitter.

        Args:
            before_ns: The latest one, 0 before the first.
            ran_ns: How long the container ran.
        """
        if before_ns <= 0 or ran_ns >= self.reset_ns:
            return min(self.first_ns, self.longest_ns)
        return min(before_ns * 2, self.longest_ns)


def backoff(policy: RestartPolicy, section: ContainerSection) -> Backoff:
    """Return the pauses of a container: its own, and where it names none the engine's."""
    return Backoff(
        first_ns=policy.delay or round(section.restart_seconds * _NS),
        longest_ns=policy.delay_max or round(section.restart_max_seconds * _NS),
        reset_ns=policy.reset_after or round(section.restart_reset_seconds * _NS),
        jitter=policy.jitter / 100 if policy.HasField("jitter") else section.restart_jitter,
    )


def restarts(described: pb.Container, code: int) -> bool:
    """Tell whether the policy of a container that has ended starts it again.

    Args:
        described: It, with what is on record of earlier restarts.
        code: Its exit code.
    """
    policy = described.config.restart_policy
    if described.restart.stopped or described.config.auto_remove:
        return False
    if policy.name == "on-failure":
        most = policy.maximum_retry_count
        return code != 0 and (most == 0 or described.restart_count < most)
    return policy.name in ("always", "unless-stopped")


def starts_at_boot(described: pb.Container) -> bool:
    """Tell whether a container that has ended is started when the machine has been.

    As with Docker, "always" means also one that was stopped before; "on-failure" never means a start of the machine.
    """
    name = described.config.restart_policy.name
    return name == "always" or (name == "unless-stopped" and not described.restart.stopped)


def jittered(pause_ns: int, jitter: float, chance: Callable[[], float]) -> int:
    """Return a pause that is longer at random, so that many that ended at once do not start at once.

    Args:
        pause_ns: Nanoseconds.
        jitter: Part of it that is added at most.
        chance: Makes a number from 0 to 1.
    """
    return pause_ns + round(pause_ns * jitter * chance())


def check(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Refuse a policy that means nothing.

    Raises:
        InvalidConfig: Says why.
    """
    name, most = policy.name, policy.maximum_retry_count
    if name and name not in NAMES:
        raise invalid("restart_policy", f"is {name!r}", f"use one of {', '.join(NAMES)}")
    if most < 0:
        raise invalid("restart_policy", "has a maximum retry count below 0", "use 0 for no maximum")
    if most and name != "on-failure":
        raise invalid(
            "restart_policy",
            f"has a maximum retry count, which {name or 'no'!r} does not take",
            "leave it out, or use on-failure",
        )
    if auto_remove and name not in ("", "no"):
        raise invalid(
            "restart_policy", f"is {name!r} together with auto_remove", "leave one of them out"
        )
    for field in ("delay", "delay_max", "reset_after"):
        if not 0 <= getattr(policy, field) <= _LONGEST_NS:
            raise invalid(
                "restart_policy", f"has the {field} {getattr(policy, field)} ns", "use up to a day"
            )
    if not 0 <= policy.jitter <= 100:
        raise invalid("restart_policy", f"has the jitter {policy.jitter}", "use 0 to 100 percent")
