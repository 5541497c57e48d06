"""Preflight: all that would be refused, at once, and nothing is made."""

import socket

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import Dependency, HealthCheck, RestartPolicy
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import ScowError, from_wire
from tests.integration.container.node import Node


def problems(node: Node, name: str = "", **fields: object) -> list[ScowError]:
    config = pb.ContainerConfig(**{"image": "busybox", "command": ["true"], **fields})  # type: ignore[arg-type]
    response = node.stub.Preflight(pb.PreflightRequest(name=name, config=config))
    return [
        from_wire(each.code, each.message, each.SerializeToString()) for each in response.problems
    ]


def reasons(found: list[ScowError]) -> list[str]:
    return sorted(each.reason for each in found)


def test_nothing_is_refused_and_nothing_made(node: Node) -> None:
    before = list(node.stub.List(pb.ListRequest(all=True)).containers)
    revision = node.actions("nobody", 0)
    assert problems(node, name="fine", ports=[PortMapping(container_port=80)]) == []
    assert list(node.stub.List(pb.ListRequest(all=True)).containers) == before
    assert node.actions("nobody", 0) == revision
    assert not list((node.root / "container/containers").iterdir())


def test_all_is_told_at_once(node: Node) -> None:
    taken = node.create("true", name="taken")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        found = problems(
            node,
            name="taken",
            image="no-such-image",
            network="no-such-network",
            ports=[
                PortMapping(container_port=80, host_ip="127.0.0.1", host_port=port),
                PortMapping(container_port=70000, host_port=1),
            ],
            mounts=[pb.MountSpec(type="bind", source="/no/such/source", target="/x")],
            devices=[pb.Device(host_path="/dev/no-such"), pb.Device(host_path="/dev/nor-this")],
            links=["nobody:x"],
            stop_timeout=-7,
            restart_policy=RestartPolicy(name="sometimes"),
            depends_on=[Dependency(container="nobody-else")],
        )
    assert reasons(found) == [
        "ADDRESS_IN_USE",
        "BIND_SOURCE_NOT_FOUND",
        "CONTAINER_NOT_FOUND",
        "CONTAINER_NOT_FOUND",
        "IMAGE_NOT_FOUND",
        "INVALID_CONFIG",
        "INVALID_CONFIG",
        "INVALID_CONFIG",
        "NAME_IN_USE",
        "NETWORK_NOT_FOUND",
        "NOT_FOUND",
        "NOT_FOUND",
    ]
    assert {each.which for each in found} >= {"taken", str(port), "/dev/no-such", "/dev/nor-this"}
    node.remove(taken.id)


def test_what_the_image_lacks(node: Node) -> None:
    [only] = problems(node, override_entrypoint=True, command=[])
    assert (only.reason, only.which) == ("INVALID_CONFIG", "command")


def test_ports_of_other_containers_and_twice_the_same(node: Node) -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    mapping = PortMapping(container_port=80, host_port=port)
    assert problems(node, ports=[mapping]) == []
    assert reasons(problems(node, ports=[mapping, mapping])) == ["ADDRESS_IN_USE"]
    other = node.run_detached("sleep", "60", ports=[mapping])
    assert reasons(problems(node, ports=[mapping])) == ["ADDRESS_IN_USE"]
    assert problems(node, ports=[mapping], network="none") == []
    node.remove(other.id)


def test_each_kind_of_wrong_health_check_is_one_problem(node: Node) -> None:
    check = HealthCheck(test=["SOMETIMES"])
    assert (
        reasons(problems(node, health_check=check, security_opts=["odd"])) == ["INVALID_CONFIG"] * 2
    )
