"""Packets that no honest program sends, as bytes for a packet socket (packet(7))."""

from __future__ import annotations

import ipaddress
import socket
import struct

from tests.integration.network.machines import Namespace

_IPV4, _IPV6 = 0x0800, 0x86DD
_ICMP6, _UDP = 58, 17
_ALL_NODES = ("33:33:00:00:00:01", "ff02::1")


def send(where: Namespace, interface: str, frame: bytes) -> None:
    """Send a frame from a namespace's link, as a container with CAP_NET_RAW may."""

    def inject() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as one:
            one.bind((interface, 0))
            one.send(frame)

    where.call(inject)


def router_advertisement(source_mac: str, prefix: str) -> bytes:
    """Return the frame of a router that offers itself as default router, and a prefix for addresses (RFC 4861)."""
    network = ipaddress.IPv6Network(prefix)
    head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    # On-link and autonomous: hosts make themselves an address of it.
    option = struct.pack("!BBBBIII", 3, 4, network.prefixlen, 0xC0, 3600, 1800, 0)
    mac = struct.pack("!BB", 1, 1) + _mac(source_mac)
    body = head + option + network.network_address.packed + mac
    source, target = (ipaddress.IPv6Address(a).packed for a in ("fe80::bad", _ALL_NODES[1]))
    pseudo = source + target + struct.pack("!II", len(body), _ICMP6)
    body = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), _ICMP6, 255) + source + target
    return _mac(_ALL_NODES[0]) + _mac(source_mac) + struct.pack("!H", _IPV6) + header + body


def udp(macs: tuple[str, str], addresses: tuple[str, str], port: int, data: bytes) -> bytes:
    """Return the frame of a datagram.

    Args:
        macs: Source and destination.
        addresses: Source and destination, of either family.
        port: Of the destination.
        data: What it carries.
    """
    source, target = (ipaddress.ip_address(address).packed for address in addresses)
    body = struct.pack("!HHHH", 4321, port, 8 + len(data), 0) + data
    pseudo = source + target + struct.pack("!II", len(body), _UDP)
    body = body[:6] + struct.pack("!H", _checksum(pseudo + body)) + body[8:]
    if len(source) == 16:
        header = struct.pack("!IHBB", 6 << 28, len(body), _UDP, 64) + source + target
        kind = _IPV6
    else:
        header = struct.pack("!BBHIBBH", 0x45, 0, 20 + len(body), 0, 64, _UDP, 0) + source + target
        header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
        kind = _IPV4
    return _mac(macs[1]) + _mac(macs[0]) + struct.pack("!H", kind) + header + body


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
