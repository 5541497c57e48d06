"""How a container is after each round of a check: Docker's rules, for each check by itself. No clock is read."""

from __future__ import annotations

from collections.abc import Iterable

from scow.api.container.v1.supervision_pb2 import CheckHealth, Health, HealthResult
from scow.container.health.checks import Check, Times

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
KEPT = 5
# From the best to the worst.
_ORDER = (HEALTHY, STARTING, UNHEALTHY)


def begun(checks: Iterable[Check]) -> Health:
    """Return the health of a container that was just started; empty without checks."""
    found = Health()
    for check in checks:
        found.checks.add(check=check.name, kind=check.kind, status=STARTING)
    _sum_up(found)
    return found


def after(
    health: Health, check: Check, result: HealthResult, times: Times, started_ns: int
) -> Health:
    """Return the health after a round of a check.

    Args:
        health: That before.
        check: What was checked.
        result: How that went.
        times: Of the container's checks.
        started_ns: When the container was started, nanoseconds since 1970.
    """
    found = Health()
    found.CopyFrom(health)
    found.log.append(result)
    del found.log[:-KEPT]
    for each in found.checks:
        if (each.check, each.kind) == (check.name, check.kind):
            _count(each, result, times, started_ns)
    _sum_up(found)
    return found


def _count(each: CheckHealth, result: HealthResult, times: Times, started_ns: int) -> None:
    if result.exit_code == 0:
        each.failing_streak = 0
        each.status = HEALTHY
        return
    age = result.start.ToNanoseconds() - started_ns
    if each.status == STARTING and age < times.start_period:
        return
    each.failing_streak += 1
    if each.failing_streak >= times.retries:
        each.status = UNHEALTHY


def _sum_up(health: Health) -> None:
    health.failing_streak = max((each.failing_streak for each in health.checks), default=0)
    health.status = max((each.status for each in health.checks), key=_ORDER.index, default="")


def is_due(health: Health, check: Check) -> bool:
    """Tell whether a check is made: while one of the startup has not succeeded, only those are."""
    if check.kind == "startup":
        return any(
            (each.check, each.kind) == (check.name, check.kind) and each.status != HEALTHY
            for each in health.checks
        )
    return all(each.status == HEALTHY for each in health.checks if each.kind == "startup")


def demands_action(health: Health) -> bool:
    """Tell whether a check that is to have an action has failed."""
    return any(each.status == UNHEALTHY and each.kind != "readiness" for each in health.checks)


def is_starting(health: Health, check: Check) -> bool:
    """Tell whether a check has neither succeeded nor failed for good since the start."""
    return any(
        (each.check, each.kind) == (check.name, check.kind) and each.status == STARTING
        for each in health.checks
    )
