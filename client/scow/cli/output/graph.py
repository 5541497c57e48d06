"""A picture of networks: bridges, containers, addresses and ports, as text and as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.network.v1.network_pb2 import Endpoint, Network
    from scow.api.types.v1.types_pb2 import PortMapping

_T = TypeVar("_T")
_LINE, _WIDTH, _GAP, _COLUMN = 18, 330, 24, 40


def text(networks: Sequence[Network]) -> Iterator[str]:
    """Yield the lines of a tree: the host, its networks, their containers, and what leads to them."""
    yield "host"
    for network, last in _ends(networks):
        yield f"{_branch(last)}{' '.join(_network_words(network))}"
        inner = _stem(last)
        for endpoint, final in _ends(network.endpoints):
            yield f"{inner}{_branch(final)}{'  '.join(_endpoint_words(endpoint))}"
            for port, end in _ends(endpoint.ports):
                yield f"{inner}{_stem(final)}{_branch(end)}{port_text(port)}"


def _ends(items: Sequence[_T]) -> Iterator[tuple[_T, bool]]:
    """Yield items, and whether each is the last one."""
    for number, item in enumerate(items, 1):
        yield item, number == len(items)


def _branch(last: bool) -> str:
    return "└── " if last else "├── "


def _stem(last: bool) -> str:
    return "    " if last else "│   "


def _network_words(network: Network) -> Iterator[str]:
    yield network.name
    yield f"({network.driver}{' ' + network.bridge if network.bridge else ''})"
    for subnet in network.subnets:
        yield f"{subnet.subnet} via {subnet.gateway}" if subnet.gateway else subnet.subnet
    if network.internal:
        yield "internal"


def _endpoint_words(endpoint: Endpoint) -> Iterator[str]:
    yield endpoint.name or endpoint.owner
    if endpoint.ip_address:
        yield endpoint.ip_address
    if endpoint.ipv6_address:
        yield endpoint.ipv6_address
    if endpoint.host_link:
        yield f"{endpoint.interface} on {endpoint.host_link}"


def port_text(port: PortMapping) -> str:
    """Return what of the host leads to which port: "0.0.0.0:8080 -> 80/tcp"."""
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{_range(port.host_port, port.count)} -> {_range(port.container_port, port.count)}/{port.protocol}"


def _range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def svg(networks: Sequence[Network]) -> str:
    """Return a drawing: a box for each network at the left, and beside it one for each of its containers."""
    parts: list[str] = []
    top, widest = _GAP, 0
    for network in networks:
        boxes = [_endpoint_lines(endpoint) for endpoint in network.endpoints]
        height = max([len(lines) for lines in (*boxes, _network_lines(network))]) * _LINE + _GAP
        middle = top + height // 2
        parts += _box(_GAP, top, height, _network_lines(network), "network")
        for number, lines in enumerate(boxes, 1):
            left = _GAP + number * (_WIDTH + _COLUMN)
            parts.append(f'<path class="wire" d="M{left - _COLUMN} {middle}h{_COLUMN}"/>')
            parts += _box(left, top, height, lines, "container")
        widest = max(widest, len(boxes))
        top += height + _GAP
    width = 2 * _GAP + (widest + 1) * (_WIDTH + _COLUMN)
    return "\n".join([_head(width, top), *parts, "</svg>"])


def _head(width: int, height: int) -> str:
    style = (
        "text{font:13px sans-serif}.first{font-weight:bold}rect{stroke:#555;rx:6}"
        ".network{fill:#dbe9f6}.container{fill:#f4f4f4}.wire{stroke:#555}"
    )
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>'


def _box(left: int, top: int, height: int, lines: Sequence[str], kind: str) -> Iterator[str]:
    yield f'<rect class="{kind}" x="{left}" y="{top}" width="{_WIDTH}" height="{height}"/>'
    for number, line in enumerate(lines):
        first = ' class="first"' if not number else ""
        place = f'x="{left + _GAP // 2}" y="{top + (number + 1) * _LINE}"'
        yield f"<text{first} {place}>{escape(line)}</text>"


def _network_lines(network: Network) -> list[str]:
    return list(_network_words(network))


def _endpoint_lines(endpoint: Endpoint) -> list[str]:
    return [*_endpoint_words(endpoint), *(port_text(port) for port in endpoint.ports)]
