"""Every driver, by the suite."""

from __future__ import annotations

from scow.network.drivers import make
from tests.integration.network.drivers.suite import Case, DriverSuite


class TestBridge(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 0)["bridge"], ("10.90.0.0/24",))


class TestBridgeOfBothFamilies(DriverSuite):
    case = Case(
        lambda worker, instance: make(worker, instance, 0)["bridge"],
        ("10.90.0.0/24", "fd00:90::/64"),
    )


class TestBridgeThatChoosesItsSubnet(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 1400)["bridge"])


class TestHost(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 0)["host"])


class TestNone(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 0)["null"])
