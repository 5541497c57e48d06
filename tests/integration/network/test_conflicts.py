"""Subnets and the host's routes: those that are there are left out, those that come later are told of."""

from __future__ import annotations

import ipaddress

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from tests.integration.network.conftest import Engine


def test_a_route_that_comes_later_is_told_of(engine: Engine) -> None:
    stub = engine.stub
    made = stub.Create(pb.CreateRequest(name="mine", subnets=[pb.Subnet(subnet="10.61.4.0/24")]))
    filters = [Filter(key="event", values=["conflict"])]
    watch = stub.Watch(pb.WatchRequest(from_revision=1, filters=filters))
    try:
        for route in ("10.61.0.0/16", "10.61.4.128/25", "10.62.0.0/16", "0.0.0.0/1"):
            engine.host.run(f"ip route add {route} via 192.0.2.2")
        events = [next(watch).event for _ in range(2)]
    finally:
        watch.cancel()
        for route in ("10.61.0.0/16", "10.61.4.128/25", "10.62.0.0/16", "0.0.0.0/1"):
            engine.host.run(f"ip route del {route} via 192.0.2.2 || true")
        stub.Remove(pb.RemoveRequest(network="mine"))
    assert {event.object_id for event in events} == {made.network.id}
    assert {event.attributes["route"] for event in events} == {"10.61.0.0/16", "10.61.4.128/25"}
    assert events[0].attributes["name"] == "mine"


def test_a_host_with_sixty_routes(engine: Engine) -> None:
    taken = [f"10.{number}.0.0/16" for number in range(201, 256)]
    taken += [f"10.{number}.7.0/24" for number in range(100, 105)]
    for route in taken:
        engine.host.run(f"ip route add {route} via 192.0.2.2 || true")
    made = [
        engine.stub.Create(pb.CreateRequest(name=f"net{number}")).network for number in range(5)
    ]
    found = [ipaddress.ip_network(network.subnets[0].subnet) for network in made]
    for network in made:
        engine.stub.Remove(pb.RemoveRequest(network=network.id))
    for route in taken:
        engine.host.run(f"ip route del {route} via 192.0.2.2 || true")
    assert len(set(found)) == 5
    routes = [ipaddress.ip_network(route) for route in taken]
    assert not any(one.overlaps(route) for one in found for route in routes)
