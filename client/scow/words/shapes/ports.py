"""Ports, as `inspect` and `ps` have them."""

from __future__ import annotations

from scow.words.template.values import Map, NilList, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scow.api.types.v1.types_pb2 import PortMapping

_EVERYWHERE = "0.0.0.0"


def port_map(exposed: Iterable[str], published: Iterable[PortMapping]) -> Map:
    """Return {"80/tcp": [{HostIp, HostPort}]}; a port that is only exposed has null."""
    ports = Map({port: NilList() for port in exposed}, zero=NilList())
    for mapping in published:
        for offset in range(mapping.count or 1):
            key = f"{mapping.container_port + offset}/{mapping.protocol or 'tcp'}"
            binding = Struct(
                HostIp=mapping.host_ip or _EVERYWHERE,
                HostPort=_host_port(mapping, offset),
            )
            if not ports.get(key):
                ports[key] = []
            ports[key].append(binding)
    return ports


def _host_port(mapping: PortMapping, offset: int) -> str:
    """Return "8080", "18400-18410" for a choice, and nothing where any port will do."""
    if not mapping.host_port:
        return ""
    return _range(mapping.host_port + offset, mapping.host_port_last or mapping.host_port + offset)


def ports_text(exposed: Iterable[str], published: Sequence[PortMapping]) -> str:
    """Return "443/tcp, 0.0.0.0:8080->80/tcp", ordered and grouped as `docker ps` does.

    Neighbours become one range where they are only exposed, or published under their own number.
    """
    same: dict[tuple[str, str], list[int]] = {}
    others: list[str] = []
    for inside, address, outside, protocol in sorted(each_port(exposed, published)):
        if outside in (0, inside):
            same.setdefault((address, protocol), []).append(inside)
        else:
            others.append(f"{_host(address)}:{outside}->{inside}/{protocol}")
    groups = [
        f"{_host(address)}:{ports}->{ports}/{protocol}" if address else f"{ports}/{protocol}"
        for (address, protocol), numbers in same.items()
        for ports in _ranges(numbers)
    ]
    return ", ".join([*groups, *others])


def each_port(
    exposed: Iterable[str], published: Sequence[PortMapping]
) -> Iterator[tuple[int, str, int, str]]:
    """Yield (port inside, address, port outside, protocol) of each port; what is only exposed has no address."""
    shown: set[str] = set()
    for mapping in published:
        protocol = mapping.protocol or "tcp"
        for offset in range(mapping.count or 1):
            inside = mapping.container_port + offset
            shown.add(f"{inside}/{protocol}")
            yield inside, mapping.host_ip or _EVERYWHERE, mapping.host_port + offset, protocol
    for text in exposed:
        number, _, protocol = text.partition("/")
        if number.isascii() and number.isdigit() and f"{number}/{protocol or 'tcp'}" not in shown:
            yield int(number), "", 0, protocol or "tcp"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Yield "80" and "8000-8002" of ascending numbers."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield _range(first, last)
            first = number
        last = number
    yield _range(first, last)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
