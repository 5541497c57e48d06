"""The options of bridge networks and of endpoints, as Docker documents them (`com.docker.network.*`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scow.contract.errors import InvalidArgument
from scow.network import gateway_modes
from scow.network.kernel import names

_PREFIX = "com.docker.network."
MTU = f"{_PREFIX}driver.mtu"
BRIDGE_NAME = f"{_PREFIX}bridge.name"
MASQUERADE = f"{_PREFIX}bridge.enable_ip_masquerade"
ICC = f"{_PREFIX}bridge.enable_icc"
RATE_IN, RATE_OUT = "scow.network.rate_in", "scow.network.rate_out"
ALLOW_SPOOFING = "scow.network.allow_spoofing"
HOST_BINDING = f"{_PREFIX}bridge.host_binding_ipv4"
_INTERFACE = f"{_PREFIX}container_iface_prefix"
_INHIBIT_IPV4 = f"{_PREFIX}bridge.inhibit_ipv4"
_HOST_IPV4, _HOST_IPV6 = f"{_PREFIX}host_ipv4", f"{_PREFIX}host_ipv6"
_MODES = {4: f"{_PREFIX}bridge.gateway_mode_ipv4", 6: f"{_PREFIX}bridge.gateway_mode_ipv6"}
_TRUSTED = f"{_PREFIX}bridge.trusted_host_interfaces"
DEFAULT_BRIDGE = f"{_PREFIX}bridge.default_bridge"
ENABLE_IPV4, ENABLE_IPV6 = f"{_PREFIX}enable_ipv4", f"{_PREFIX}enable_ipv6"
_IFNAME = f"{_PREFIX}endpoint.ifname"
_SYSCTLS = f"{_PREFIX}endpoint.sysctls"
_KNOWN = frozenset(
    {
        *(MTU, BRIDGE_NAME, MASQUERADE, ICC, HOST_BINDING, _INTERFACE, _INHIBIT_IPV4),
        *(
            _HOST_IPV4,
            _HOST_IPV6,
            DEFAULT_BRIDGE,
            ENABLE_IPV4,
            ENABLE_IPV6,
            _TRUSTED,
            *_MODES.values(),
        ),
    }
)
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_STEM = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,9}")
# What Docker takes: a setting of the interface itself, of these protocols.
_SETTING = re.compile(r"net\.(ipv4|ipv6|mpls)\.([a-z0-9_]+)\.IFNAME\.([a-z0-9_]+)=([^\s,]{1,64})")
_RATE = re.compile(r"([0-9]{1,15})(bit|kbit|mbit|gbit)?")
_RATE_UNITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_LEAST_RATE, _MOST_RATE = 8000, 10**12
_LEAST_MTU, _MOST_MTU = 68, 65535


@dataclass(frozen=True)
class BridgeOptions:
    """The options of a bridge network.

    Attributes:
        name: Of the bridge; empty means one of the engine's.
        mtu: In bytes; 0 means the engine's.
        masquerade: Whether packets to elsewhere get the host's address.
        icc: Whether its endpoints may talk to each other.
        spoofing: Whether its endpoints may send from addresses that are not theirs: routers, shared addresses.
        stem: Of the names of containers' interfaces.
        inhibit_ipv4: Whether the bridge goes without an address of IPv4.
        modes: How the bridge is a gateway, by version; see `gateway_modes`.
        trusted: Links of the host from which all ports of its endpoints are reached.
        snat: Source addresses for packets to elsewhere, by version; without one the host's own.
    """

    name: str = ""
    mtu: int = 0
    masquerade: bool = True
    icc: bool = True
    spoofing: bool = False
    stem: str = names.STEM
    inhibit_ipv4: bool = False
    snat: tuple[str, ...] = ()
    modes: Mapping[int, str] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()

    def mode(self, version: int) -> str:
        """Return how the bridge is the gateway of a version of addresses."""
        return self.modes.get(version, gateway_modes.NAT)


def bridge(options: Mapping[str, str]) -> BridgeOptions:
    """Return the options of a bridge network.

    Raises:
        InvalidArgument: A value that an option cannot have.
    """
    name = options.get(BRIDGE_NAME, "")
    if name and (not _NAME.fullmatch(name) or name in (".", "..")):
        raise _invalid(BRIDGE_NAME, name, "up to 15 letters, digits, '.', '-' and '_'")
    stem = options.get(_INTERFACE) or names.STEM
    if not _STEM.fullmatch(stem):
        raise _invalid(_INTERFACE, stem, "up to ten letters, digits, '-' and '_', a letter first")
    for key in (HOST_BINDING, _HOST_IPV4):
        _address(options, key, 4)
    _address(options, _HOST_IPV6, 6)
    return BridgeOptions(
        name=name,
        mtu=mtu(options),
        masquerade=_flag(options, MASQUERADE, True),
        icc=_flag(options, ICC, True),
        spoofing=_flag(options, ALLOW_SPOOFING, False),
        stem=stem,
        inhibit_ipv4=_flag(options, _INHIBIT_IPV4, False),
        snat=tuple(options[key] for key in (_HOST_IPV4, _HOST_IPV6) if options.get(key)),
        trusted=_links(options, _TRUSTED),
        modes={version: _mode(options, key) for version, key in _MODES.items() if options.get(key)},
    )


def _links(options: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Return names of links, which colons separate."""
    found = tuple(filter(None, options.get(key, "").split(":")))
    for name in found:
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise _invalid(key, name, "names of links, with ':' between them")
    return tuple(dict.fromkeys(found))


def _mode(options: Mapping[str, str], key: str) -> str:
    if options[key] not in gateway_modes.ALL:
        raise _invalid(key, options[key], ", ".join(gateway_modes.ALL))
    return options[key]


def enabled(options: Mapping[str, str], ipv4: bool, ipv6: bool) -> tuple[bool, bool]:
    """Return whether a network has IPv4 and IPv6, which options say too.

    Raises:
        InvalidArgument: They do not say it.
    """
    return _flag(options, ENABLE_IPV4, ipv4), _flag(options, ENABLE_IPV6, ipv6)


def mtu(options: Mapping[str, str]) -> int:
    """Return the MTU that options ask for, 0 for none."""
    text = options.get(MTU, "")
    if not text or text == "0":
        return 0
    if (
        not (text.isascii() and text.isdigit() and len(text) < 6)
        or not _LEAST_MTU <= int(text) <= _MOST_MTU
    ):
        raise _invalid(MTU, text, f"bytes from {_LEAST_MTU} to {_MOST_MTU}")
    return int(text)


def unknown(options: Mapping[str, str]) -> list[str]:
    """Return the options in Docker's name space that mean nothing here."""
    return sorted(key for key in options if key.startswith(_PREFIX) and key not in _KNOWN)


def interface(options: Mapping[str, str]) -> str:
    """Return the name that an endpoint's options give its interface, or empty.

    Raises:
        InvalidArgument: No interface can have it.
    """
    name = options.get(_IFNAME, "")
    if name and (not _NAME.fullmatch(name) or name in (".", "..", "lo", "all", "default")):
        raise _invalid(_IFNAME, name, "up to 15 letters, digits, '.', '-' and '_'")
    return name


@dataclass(frozen=True)
class Rates:
    """Bandwidth limits of an endpoint, in bits a second; 0 means none.

    Attributes:
        into: What the container may get.
        out: What it may send.
    """

    into: int = 0
    out: int = 0


def rates(options: Mapping[str, str]) -> Rates:
    """Return the limits that an endpoint's options give it.

    Raises:
        InvalidArgument: A value is not a rate.
    """
    return Rates(_rate(options, RATE_IN), _rate(options, RATE_OUT))


def _rate(options: Mapping[str, str], key: str) -> int:
    """Return a rate as tc(8) writes it: a number of bits a second, with "kbit", "mbit" or "gbit"."""
    text = options.get(key, "")
    if text in ("", "0"):
        return 0
    parts = _RATE.fullmatch(text.lower())
    bits = int(parts[1]) * _RATE_UNITS[parts[2] or "bit"] if parts else 0
    if not _LEAST_RATE <= bits <= _MOST_RATE:
        raise _invalid(key, text, "a rate from 8kbit to 1000gbit, such as 10mbit")
    return bits


def settings(options: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that an endpoint's options give its interface, as `sysctls.set_link` takes them.

    Raises:
        InvalidArgument: One is not a setting of the interface.
    """
    found = {}
    for text in filter(None, options.get(_SYSCTLS, "").split(",")):
        parts = _SETTING.fullmatch(text)
        if parts is None:
            raise _invalid(
                _SYSCTLS, text, "net.ipv4.X.IFNAME.Y=VALUE, with net.ipv4, net.ipv6 or net.mpls"
            )
        protocol, group, key, value = parts.groups()
        found[f"{protocol}/{group}/{{link}}/{key}"] = value
    return found


def _flag(options: Mapping[str, str], key: str, default: bool) -> bool:
    text = options.get(key, "").lower()
    if not text:
        return default
    if text not in (*_TRUE, *_FALSE):
        raise _invalid(key, text, "true or false")
    return text in _TRUE


def _address(options: Mapping[str, str], key: str, version: int) -> None:
    text = options.get(key, "")
    try:
        right = not text or ipaddress.ip_address(text).version == version
    except ValueError:
        right = False
    if not right:
        raise _invalid(key, text, f"an address of IPv{version}")


def _invalid(key: str, value: str, wanted: str) -> InvalidArgument:
    return InvalidArgument(
        f"invalid value {value!r} of the option {key}",
        what="option",
        which=key,
        do=f"give {wanted}",
    )
