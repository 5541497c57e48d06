"""What is checked: the user's words over the image's."""

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import HealthCheck, Probe
from scow.api.image.v1.image_pb2 import Healthcheck, ImageConfig
from scow.container.health import checks
from scow.contract.errors import InvalidConfig

IMAGE = ImageConfig(healthcheck=Healthcheck(test=["CMD-SHELL", "look"], interval=7, retries=9))


def commands(check: HealthCheck | None) -> list[tuple[str, ...]]:
    described = pb.Container(health_check=check) if check is not None else pb.Container()
    return [each.arguments for each in checks.checks_of(described)]


def test_the_image_s_check_is_the_container_s() -> None:
    found = checks.resolve(None, IMAGE)
    assert found is not None
    assert (found.interval, found.retries) == (7, 9)
    assert commands(found) == [("/bin/sh", "-c", "look")]


def test_what_the_user_says_goes_first_and_the_rest_is_the_image_s() -> None:
    found = checks.resolve(HealthCheck(test=["CMD", "own", "x"], retries=1), IMAGE)
    assert found is not None
    assert (found.interval, found.retries) == (7, 1)
    assert commands(found) == [("own", "x")]


def test_probes_stand_in_for_the_image_s_command() -> None:
    found = checks.resolve(HealthCheck(probes=[Probe(protocol="tcp", port=80)]), IMAGE)
    assert found is not None
    [only] = checks.checks_of(pb.Container(health_check=found))
    assert (only.name, only.kind, only.arguments) == ("tcp:80", "liveness", ())


def test_nothing_is_checked() -> None:
    assert checks.resolve(None, ImageConfig()) is None
    assert checks.resolve(HealthCheck(interval=5), ImageConfig()) is None
    off = checks.resolve(HealthCheck(test=["NONE"]), IMAGE)
    assert commands(off) == []
    assert commands(checks.resolve(None, ImageConfig(healthcheck=Healthcheck(test=["NONE"])))) == []


def test_the_shell_is_the_image_s_and_never_the_caller_s() -> None:
    image = ImageConfig(
        healthcheck=Healthcheck(test=["CMD-SHELL", "look"]), shell=["/bin/ash", "-x"]
    )
    found = checks.resolve(HealthCheck(shell=["/evil"]), image)
    assert commands(found) == [("/bin/ash", "-x", "look")]
    found = checks.resolve(HealthCheck(test=["CMD-SHELL", "x"], shell=["/evil"]), ImageConfig())
    assert commands(found) == [("/bin/sh", "-c", "x")]


def test_defaults_are_docker_s() -> None:
    times = checks.times_of(HealthCheck())
    assert (times.interval, times.timeout, times.retries) == (30 * 10**9, 30 * 10**9, 3)
    assert (times.start_period, times.start_interval) == (0, 5 * 10**9)


@pytest.mark.parametrize(
    ("probe", "name"),
    [
        (Probe(protocol="http", port=80, target="/x"), "http:80/x"),
        (Probe(protocol="grpc", port=1, target="a.B", address="::1"), "grpc:[::1]:1/a.B"),
        (Probe(protocol="tcp", port=1, address="10.0.0.1"), "tcp:10.0.0.1:1"),
    ],
)
def test_names(probe: Probe, name: str) -> None:
    assert checks.name_of(probe) == name


@pytest.mark.parametrize("zone", ["eth0", "\u00fc", "x\r\nA: b", "x" * 9000])
def test_an_address_with_a_zone_is_refused(zone: str) -> None:
    probe = Probe(protocol="http", port=80, address=f"fe80::1%{zone}")
    with pytest.raises(InvalidConfig):
        checks.validate(HealthCheck(probes=[probe]))
