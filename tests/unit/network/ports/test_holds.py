import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import AddressInUse, InvalidPort
from scow.network.ports import holds as ports
from scow.network.ports.holds import Holds, Publish


@pytest.fixture
def holds() -> Iterator[Holds]:
    held = Holds()
    yield held
    held.close()


def test_defaults_are_filled_in() -> None:
    assert ports.check(PortMapping(container_port=80)) == Publish("", 0, 80, "tcp", 1)
    assert ports.check(PortMapping(container_port=80, host_ip="0.0.0.0")).host_ip == ""
    assert ports.check(PortMapping(container_port=80, host_ip="127.0.0.1")).host_ip == "127.0.0.1"


@pytest.mark.parametrize(
    "mapping",
    [
        PortMapping(host_port=80),
        PortMapping(container_port=65536),
        PortMapping(container_port=65535, count=2),
        PortMapping(container_port=1, host_port=65535, count=2),
        PortMapping(container_port=1, host_port=70000),
        PortMapping(container_port=1, protocol="sctp"),
        PortMapping(container_port=1, protocol="TCP"),
        PortMapping(container_port=1, host_ip="localhost"),
        PortMapping(container_port=1, host_ip="::1"),
    ],
)
def test_what_is_no_port_is_refused(mapping: PortMapping) -> None:
    with pytest.raises(InvalidPort) as caught:
        ports.check(mapping)
    assert caught.value.which
    assert caught.value.metadata["do"]


def test_names_of_ports() -> None:
    assert str(Publish("", 8080, 80, "tcp", 1)) == "8080/tcp"
    assert str(Publish("127.0.0.1", 8080, 80, "udp", 10)) == "127.0.0.1:8080-8089/udp"


def test_json_and_back() -> None:
    published = [Publish("127.0.0.1", 8080, 80, "udp", 10), Publish("", 1, 2, "tcp", 1)]
    assert ports.from_json(ports.to_json(published)) == published


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_held_port_is_refused_to_everyone_else(holds: Holds, protocol: str) -> None:
    [chosen] = holds.take("a", [Publish("127.0.0.1", 0, 80, protocol, 1)])
    assert chosen.host_port > 0
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", chosen.host_port))
    with pytest.raises(AddressInUse) as caught:
        holds.take("b", [replace(chosen, host_ip="")])
    assert caught.value.which == f"{chosen.host_port}/{protocol}"
    holds.give_back("a")
    assert holds.take("b", [chosen]) == [chosen]


def test_a_port_that_a_program_listens_on(holds: Holds) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AddressInUse) as caught:
            holds.take("a", [Publish("", port, 80, "tcp", 1)])
        assert caught.value.which == f"{port}/tcp"
    holds.take("a", [Publish("", port, 80, "tcp", 1)])


def test_a_port_that_only_ended_connections_use_is_free_and_then_held(holds: Holds) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            connection, _ = server.accept()
            connection.close()  # the side that closes first keeps TIME_WAIT
            assert client.recv(1) == b""
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    holds.take("a", [Publish("127.0.0.1", port, 80, "tcp", 1)])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
            other.listen()


def test_a_range_is_held_whole_or_not_at_all(holds: Holds) -> None:
    [chosen] = holds.take("a", [Publish("127.0.0.1", 0, 80, "tcp", 5)])
    last = replace(chosen, host_port=chosen.host_port + 4, count=1)
    with pytest.raises(AddressInUse) as caught:
        holds.take("b", [last])
    assert caught.value.which == str(last)
    holds.give_back("a")
    with holds_one(chosen.host_port + 3), pytest.raises(AddressInUse):
        holds.take("c", [chosen])
    holds.take("d", [replace(chosen, count=3)])  # nothing of "c" is left


def test_two_wishes_for_one_port(holds: Holds) -> None:
    [chosen] = holds.take("a", [Publish("127.0.0.1", 0, 80, "tcp", 1)])
    holds.give_back("a")
    with pytest.raises(AddressInUse):
        holds.take("b", [chosen, chosen])
    holds.take("c", [chosen])


def test_an_address_that_the_host_has_not(holds: Holds) -> None:
    with pytest.raises(InvalidPort, match=r"has no address 203\.0\.113\.7"):
        holds.take("a", [Publish("203.0.113.7", 0, 80, "tcp", 1)])


def test_retaking_tells_what_was_lost(holds: Holds) -> None:
    [chosen] = holds.take("a", [Publish("127.0.0.1", 0, 80, "tcp", 1)])
    assert holds.retake("a", [chosen]) == []  # it has it
    holds.give_back("a")
    with holds_one(chosen.host_port):
        [(lost, why)] = holds.retake("a", [chosen])
    assert lost == chosen
    assert "in use" in why


def holds_one(port: int) -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", port))
    return one
