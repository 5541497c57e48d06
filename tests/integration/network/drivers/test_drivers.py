"""Every driver, by the suite."""

from __future__ import annotations

from typing import Any

import pytest

from scow.contract.errors import InvalidArgument, KernelUnsupported, LinkFailed
from scow.network.drivers import Driver, make
from scow.network.kernel.netlink import Netlink, Request
from scow.network.kernel.worker import Worker
from tests.integration.network.drivers.suite import Case, DriverSuite, staged
from tests.integration.network.machines import Answerer


class TestBridge(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 0)["bridge"], ("10.90.0.0/24",))


async def test_many_networks_are_compared_with_one_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    dump = Netlink.dump

    def counted(self: Netlink, request: Request) -> list[Any]:
        asked.append(request.what)
        return dump(self, request)

    async with staged(TestBridge.case) as stage:
        monkeypatch.setattr(Netlink, "dump", counted)
        counts = []
        for number in (1, 30):
            asked.clear()
            assert await stage.driver.reconcile([stage.network] * number, []) == []
            counts.append(len(asked))
        assert counts[0] == counts[1]


class TestBridgeOfBothFamilies(DriverSuite):
    case = Case(
        lambda worker, instance: make(worker, instance, 0)["bridge"],
        ("10.90.0.0/24", "fd00:90::/64"),
    )


class TestBridgeThatChoosesItsSubnet(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 1400)["bridge"])


_CABLE = "ip link add cable type veth peer name far; ip link set cable up; ip link set far up"


def _macvlan(worker: Worker, instance: str) -> Driver:
    return make(worker, instance, 0)["macvlan"]


class TestMacvlan(DriverSuite):
    case = Case(_macvlan, ("10.90.0.0/24", "fd00:90::/64"), {"parent": "cable"}, _CABLE)


class TestMacvlanOfItsOwn(DriverSuite):
    case = Case(_macvlan)


class TestPrivateMacvlan:
    """What differs in other modes."""

    async def test_private_endpoints_do_not_reach_each_other(self) -> None:
        case = Case(
            _macvlan, ("10.90.0.0/24",), {"parent": "cable", "macvlan_mode": "private"}, _CABLE
        )
        async with staged(case) as stage:
            (one, first), (other, _) = await stage.attached(), await stage.attached()
            address = str(first.addresses[0].ip)
            with Answerer(one, "one", 7000, address=address):
                assert not other.reaches(address, 7000)

    async def test_one_endpoint_has_the_parent_to_itself(self) -> None:
        options = {"parent": "cable", "macvlan_mode": "passthru"}
        async with staged(Case(_macvlan, ("10.90.0.0/24",), options, _CABLE)) as stage:
            await stage.attached()
            with pytest.raises(LinkFailed):
                await stage.attached()

    @pytest.mark.parametrize(
        ("name", "options"), [("macvlan", {"parent": "cable.7"}), ("ipvlan", {"parent": "cable"})]
    )
    async def test_a_kernel_that_lacks_something_says_so(
        self, name: str, options: dict[str, str]
    ) -> None:
        """Where it does not, the endpoint is there."""
        case = Case(lambda worker, instance: make(worker, instance, 0)[name], (), options, _CABLE)
        try:
            async with staged(case) as stage:
                container, _ = await stage.attached()
                assert container.links() == {"lo", "eth0"}
        except KernelUnsupported as error:
            assert "Operation not supported" in str(error)

    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            ({"macvlan_mode": "x"}, "'x' of the option macvlan_mode"),
            ({"parent": "a/b"}, "option parent"),
            ({"parent": "missing"}, "option parent"),
            ({"parent": "missing.7"}, "option parent"),
            ({"parent": "cable.4095"}, "option parent"),
        ],
    )
    async def test_wrong_options(self, options: dict[str, str], fault: str) -> None:
        with pytest.raises(InvalidArgument, match=fault):
            async with staged(Case(_macvlan, ("10.90.0.0/24",), options, _CABLE)):
                pass


class TestHost(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 0)["host"])


class TestNone(DriverSuite):
    case = Case(lambda worker, instance: make(worker, instance, 0)["null"])
