"""How a container is after rounds of its checks."""

from scow.api.container.v1.supervision_pb2 import Health, HealthResult
from scow.container.health import state
from scow.container.health.checks import Check, Times

SECOND = 10**9
TIMES = Times(interval=SECOND, timeout=SECOND, start_period=0, start_interval=SECOND, retries=3)
COMMAND = Check("command", "liveness", ("true",))
READY = Check("tcp:80", "readiness")
STARTUP = Check("http:80/", "startup")


def result(code: int, at: int = 0) -> HealthResult:
    found = HealthResult(exit_code=code)
    found.start.FromNanoseconds(at)
    return found


def rounds(*codes: int, times: Times = TIMES, at: int = 0) -> Health:
    found = state.begun([COMMAND])
    for code in codes:
        found = state.after(found, COMMAND, result(code, at), times, 0)
    return found


def test_a_success_makes_it_healthy_and_failures_in_a_row_unhealthy() -> None:
    assert rounds().status == "starting"
    assert rounds(1, 1).status == "starting"
    assert rounds(0).status == "healthy"
    assert rounds(0, 1, 1).status == "healthy"
    assert (rounds(0, 1, 1, -1).status, rounds(0, 1, 1, -1).failing_streak) == ("unhealthy", 3)
    assert rounds(1, 1, 0, 1).failing_streak == 1
    assert rounds(1, 1, 1, 0).status == "healthy"


def test_five_results_are_kept() -> None:
    assert [each.exit_code for each in rounds(1, 2, 3, 4, 5, 6).log] == [2, 3, 4, 5, 6]


def test_failures_in_the_start_period_count_once_it_was_healthy() -> None:
    times = Times(SECOND, SECOND, 10 * SECOND, SECOND, 3)
    assert rounds(1, 1, 1, 1, times=times, at=9 * SECOND).failing_streak == 0
    assert rounds(1, 1, 1, times=times, at=10 * SECOND).status == "unhealthy"
    assert rounds(0, 1, 1, 1, times=times, at=9 * SECOND).status == "unhealthy"


def test_a_container_is_as_well_as_its_worst_check() -> None:
    found = state.begun([COMMAND, READY])
    found = state.after(found, COMMAND, result(0), TIMES, 0)
    assert found.status == "starting"
    for _ in range(3):
        found = state.after(found, READY, result(1), TIMES, 0)
    assert found.status == "unhealthy"
    assert not state.demands_action(found), "readiness has none"
    for _ in range(3):
        found = state.after(found, COMMAND, result(1), TIMES, 0)
    assert state.demands_action(found)


def test_nothing_else_is_made_until_the_startup_probe_succeeded() -> None:
    found = state.begun([COMMAND, STARTUP])
    assert (state.is_due(found, STARTUP), state.is_due(found, COMMAND)) == (True, False)
    found = state.after(found, STARTUP, result(0), TIMES, 0)
    assert (state.is_due(found, STARTUP), state.is_due(found, COMMAND)) == (False, True)


def test_without_checks_there_is_no_health() -> None:
    assert state.begun([]) == Health()
