import socket
from collections.abc import Iterator

import pytest

from scow.contract.errors import AddressInUse, InvalidPort
from scow.network.ports.holds import Holds
from scow.network.ports.port_mapping import EVERYWHERE, PortRequest, Publish

LOCAL = ("127.0.0.1",)


@pytest.fixture
def holds() -> Iterator[Holds]:
    held = Holds()
    yield held
    held.close()


def wish(
    first: int = 0,
    *,
    last: int = 0,
    count: int = 1,
    addresses: tuple[str, ...] = LOCAL,
    protocol: str = "tcp",
) -> PortRequest:
    return PortRequest(
        addresses, addresses == EVERYWHERE, first, last or first, 80, protocol, count
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_held_port_is_refused_to_everyone_else(holds: Holds, protocol: str, address: str) -> None:
    [chosen] = holds.take("a", [wish(addresses=(address,), protocol=protocol)])
    assert chosen.host_port > 0
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as other, pytest.raises(OSError, match="in use"):
        other.bind((address, chosen.host_port))
    again = wish(chosen.host_port, addresses=EVERYWHERE, protocol=protocol)
    with pytest.raises(AddressInUse) as caught:
        holds.take("b", [again])
    everywhere = "[::]" if ":" in address else "0.0.0.0"
    assert caught.value.which == f"{everywhere}:{chosen.host_port}/{protocol}"
    holds.give_back("a")
    assert [p.host_ip for p in holds.take("b", [again])] == ["0.0.0.0", "::"]


def test_a_free_port_is_free_in_both_families(holds: Holds) -> None:
    four, six = holds.take("a", [wish(addresses=EVERYWHERE)])
    assert (four.host_ip, six.host_ip) == EVERYWHERE
    assert four.host_port == six.host_port
    assert [held.publish for held in holds.of("a")] == [four, six]


def test_a_host_without_ipv6(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scow.network.ports.holds._has_ipv6", lambda: False)
    assert [p.host_ip for p in holds.take("a", [wish(addresses=EVERYWHERE)])] == ["0.0.0.0"]


def test_a_port_that_a_program_listens_on(holds: Holds) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AddressInUse) as caught:
            holds.take("a", [wish(port, addresses=EVERYWHERE)])
        assert caught.value.which == f"0.0.0.0:{port}/tcp"
    holds.take("a", [wish(port, addresses=EVERYWHERE)])


def test_a_port_that_only_ended_connections_use_is_free_and_then_held(holds: Holds) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            connection, _ = server.accept()
            connection.close()  # the side that closes first keeps TIME_WAIT
            assert client.recv(1) == b""
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    holds.take("a", [wish(port)])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
            other.listen()


def test_the_first_free_port_of_a_range(holds: Holds) -> None:
    [run] = holds.take("a", [wish(count=3)])
    first = run.host_port
    holds.give_back("a")
    choice = wish(first, last=first + 2)
    with holds_one(first + 1):
        given = [holds.take(name, [choice])[0].host_port for name in ("b", "c")]
        assert given == [first, first + 2]
        with pytest.raises(AddressInUse) as caught:
            holds.take("d", [choice])
        assert caught.value.which == f"127.0.0.1:{first}-{first + 2}/tcp"
    assert holds.take("d", [choice])[0].host_port == first + 1


def test_a_run_is_held_whole_or_not_at_all(holds: Holds) -> None:
    [chosen] = holds.take("a", [wish(count=5)])
    with pytest.raises(AddressInUse) as caught:
        holds.take("b", [wish(chosen.host_port + 4)])
    assert caught.value.which == f"127.0.0.1:{chosen.host_port + 4}/tcp"
    holds.give_back("a")
    with holds_one(chosen.host_port + 3), pytest.raises(AddressInUse):
        holds.take("c", [wish(chosen.host_port, count=5)])
    holds.take("d", [wish(chosen.host_port, count=3)])  # nothing of "c" is left


def test_two_wishes_for_one_port(holds: Holds) -> None:
    [chosen] = holds.take("a", [wish()])
    holds.give_back("a")
    with pytest.raises(AddressInUse):
        holds.take("b", [wish(chosen.host_port), wish(chosen.host_port)])
    holds.take("c", [wish(chosen.host_port)])


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_an_address_that_the_host_has_not(holds: Holds, address: str) -> None:
    with pytest.raises(InvalidPort, match=f"has no address {address}"):
        holds.take("a", [wish(addresses=(address,))])


def test_retaking_tells_what_was_lost(holds: Holds) -> None:
    [chosen] = holds.take("a", [wish()])
    assert holds.retake("a", [chosen]) == []  # it has it
    holds.give_back("a")
    other = Publish("127.0.0.1", chosen.host_port, 80, "udp", 1)
    with holds_one(chosen.host_port):
        [(lost, why)] = holds.retake("a", [chosen, other])
    assert lost == chosen
    assert "in use" in why
    assert [held.publish for held in holds.of("a")] == [other]


def holds_one(port: int) -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", port))
    return one


def test_a_port_of_sctp_is_published_once_also_where_no_socket_can_hold_it(holds: Holds) -> None:
    [free] = holds.take("a", [wish(protocol="sctp")])
    assert free.host_port > 1023
    for address in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(AddressInUse):
            holds.take("b", [wish(free.host_port, addresses=(address,), protocol="sctp")])
    holds.take("b", [wish(free.host_port, addresses=("::1",), protocol="sctp")])
    holds.give_back("a")
    holds.take("c", [wish(free.host_port, protocol="sctp")])


def test_some_ports_of_several_are_let_go(holds: Holds) -> None:
    first, second = holds.take("a", [wish(), wish()])
    holds.release("a", [first])
    holds.take("b", [wish(first.host_port)])
    with pytest.raises(AddressInUse):
        holds.take("c", [wish(second.host_port)])
