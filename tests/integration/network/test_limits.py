"""Bandwidth limits of endpoints, in the kernel's words and in bytes that pass."""

from __future__ import annotations

import json
import socket
from typing import Any

import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import InvalidArgument, NotConnected
from scow.network.options import RATE_IN, RATE_OUT
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import Namespace
from tests.support.service import from_rpc_error


def rate(where: Namespace, link: str) -> int:
    """Return the bits a second that may leave by a link; 0 without a limit."""
    queues: list[dict[str, Any]] = json.loads(where.run(f"tc -j qdisc show dev {link}"))
    return next((queue["options"]["rate"] * 8 for queue in queues if queue["kind"] == "tbf"), 0)


def test_limits_from_the_start_and_changed_later(engine: Engine) -> None:
    given = {RATE_IN: "10mbit", RATE_OUT: "2mbit"}
    box, answer = engine.attach(driver_opts=given)
    owner, link = answer.endpoint.owner, answer.endpoint.host_link
    assert (rate(engine.host, link), rate(box, "eth0")) == (10_000_000, 2_000_000)
    engine.stub.Limit(pb.LimitRequest(owner=owner, rate_in="40gbit"))
    assert (rate(engine.host, link), rate(box, "eth0")) == (40_000_000_000, 2_000_000)
    engine.host.run(f"tc qdisc del dev {link} root")
    engine.reconcile()
    assert rate(engine.host, link) == 40_000_000_000
    engine.stub.Limit(pb.LimitRequest(owner=owner, rate_in="0", rate_out="0"))
    assert (rate(engine.host, link), rate(box, "eth0")) == (0, 0)
    engine.stub.Limit(pb.LimitRequest(owner=owner, rate_out="0"))


def test_what_is_too_much_does_not_pass(engine: Engine) -> None:
    """Datagrams that are sent at once: the bucket and the queue take some, the rest is lost."""
    box, answer = engine.attach(driver_opts={RATE_IN: "1mbit"})

    def listen() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        one.bind(("0.0.0.0", 5000))
        one.settimeout(1)
        return one

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            for _ in range(1000):
                one.sendto(bytes(1000), (answer.endpoint.ip_address, 5000))

    with box.call(listen) as receiver:
        engine.host.call(flood)
        count = 0
        try:
            while receiver.recv(2000):
                count += 1
        except TimeoutError:
            pass
    assert 10 < count < 500


@pytest.mark.parametrize("wrong", ["fast", "1", "10mbps", "2000gbit", "-1", "1e9"])
def test_what_is_no_rate(engine: Engine, wrong: str) -> None:
    _, answer = engine.attach()
    with pytest.raises(grpc.RpcError) as caught:
        engine.stub.Limit(pb.LimitRequest(owner=answer.endpoint.owner, rate_in=wrong))
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)
    with pytest.raises(grpc.RpcError) as caught:
        engine.attach(driver_opts={RATE_OUT: wrong})
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)


def test_who_has_no_link(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        engine.stub.Limit(pb.LimitRequest(owner="container/nobody", rate_in="1mbit"))
    assert isinstance(from_rpc_error(caught.value), NotConnected)
