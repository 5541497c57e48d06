"""The short forms in which people write ports, limits, devices and the like, as Docker defines them.

Each function returns the fields of the message as plain data, and raises ValueError with a sentence
that says what is wrong. Nothing is imported: the command line parses its flags with these before it
knows that it needs the engine.
"""

from __future__ import annotations

from scow.words.units import parse_size as parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Fields = dict[str, Any]

_PORT_MAX = 65535
_PROTOCOLS = ("tcp", "udp", "sctp")
# getrlimit(2), without RLIMIT_.
ULIMITS = (
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)


def parse_swap(text: str) -> int:
    """Return the bytes of a size, or -1 for "-1" (unlimited).

    Raises:
        ValueError: No such size.
    """
    return -1 if text == "-1" else parse_size(text)


def parse_cpus(text: str) -> int:
    """Return the billionths of a processor in "1.5".

    Raises:
        ValueError: No number, a negative one, or one of more than nine decimals.
    """
    whole, _, decimals = text.partition(".")
    digits = (whole or "0") + decimals.ljust(9, "0")
    if not (text.strip(".") and digits.isascii() and digits.isdigit()):
        raise ValueError(f"invalid number of processors: {text!r}")
    if len(decimals) > 9:
        raise ValueError("value is too precise: at most nine decimals")
    return int(digits)


def parse_port(text: str) -> list[Fields]:
    """Return the port mappings of `-p`: [[address:][host port]:]container port[/protocol].

    A port may be a range. Without a host port each gets a free one, and so is a mapping of its own. A range of ports
    of the host before a single port of the container is one to choose a free port from.

    Raises:
        ValueError: No such form.
    """
    rest, has_protocol, protocol = text.partition("/")
    protocol = protocol.lower() if has_protocol else "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}: use tcp, udp or sctp")
    host_ip, host, container = _split_port(rest)
    if not container:
        raise ValueError(f"no port specified: {text}<empty>")
    first, last = _port_range("containerPort", container)
    mapping: Fields = {"host_ip": host_ip, "protocol": protocol}
    count = last - first + 1
    if not host:
        return [
            {**mapping, "host_port": 0, "container_port": port, "count": 1}
            for port in range(first, last + 1)
        ]
    host_first, host_last = _port_range("hostPort", host)
    if count == 1 and host_first and host_last > host_first:
        mapping["host_port_last"] = host_last
    elif host_last - host_first + 1 != count:
        raise ValueError(
            f"invalid ranges specified for container and host Ports: {container} and {host}"
        )
    return [{**mapping, "host_port": host_first, "container_port": first, "count": count}]


def _split_port(text: str) -> tuple[str, str, str]:
    """Return address, host port and container port."""
    address = ""
    if text.startswith("["):
        address, bracket, text = text[1:].partition("]:")
        if not bracket:
            raise ValueError(f"invalid IP address: [{address}")
        _check_address(address)
    parts = text.rsplit(":", 2 if not address else 1)
    if len(parts) == 3:
        address = parts[0]
        if address:
            _check_address(address)
        return address, parts[1], parts[2]
    return (address, parts[0], parts[1]) if len(parts) == 2 else (address, "", parts[0])


def _port_range(name: str, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    bounds = (first, last) if dash else (first, first)
    if not all(bound.isascii() and bound.isdigit() for bound in bounds):
        raise ValueError(f"invalid {name}: {text}")
    low, high = int(bounds[0]), int(bounds[1])
    least = 1 if name == "containerPort" else 0
    if not least <= low <= high <= _PORT_MAX:
        raise ValueError(f"invalid {name}: {text}")
    return low, high


def _check_address(text: str) -> None:
    """Raise ValueError unless a text is an address of IPv4 or IPv6."""
    from _socket import AF_INET, AF_INET6, inet_pton

    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, UnicodeError):
        raise ValueError(f"invalid IP address: {text}") from None


def parse_address(text: str) -> str:
    """Return an address of IPv4 or IPv6 as it is.

    Raises:
        ValueError: The text is invalid.
    """
    _check_address(text)
    return text


def parse_publish_allow(text: str) -> tuple[int, str, list[str]]:
    """Return container port, protocol and blocks of addresses of `--publish-allow`: [port[/protocol]=]CIDR[,CIDR...].

    Without a port, 0 and no protocol.

    Raises:
        ValueError: No such form.
    """
    ports, equals, blocks = text.rpartition("=")
    number, _, protocol = ports.partition("/")
    if protocol not in ("", *_PROTOCOLS):
        raise ValueError(f"invalid proto: {protocol}: use tcp, udp or sctp")
    port = _port_range("containerPort", number)[0] if equals else 0
    found = blocks.split(",")
    for block in found:
        address, slash, length = block.partition("/")
        _check_address(address)
        bits = 128 if ":" in address else 32
        if slash and not (length.isascii() and length.isdigit() and int(length) <= bits):
            raise ValueError(f"invalid CIDR address: {block}")
    return port, (protocol or "tcp") if port else "", found


def parse_policy_rule(text: str) -> Fields:
    """Return the fields of a rule of a policy: TO[,port=FIRST[-LAST]][,proto=PROTOCOL].

    Raises:
        ValueError: No such form.
    """
    to, *rest = text.split(",")
    rule: Fields = {"to": to}
    for part in rest:
        key, _, value = part.partition("=")
        if key == "port":
            rule["port"], rule["port_last"] = _port_range("port", value)
        elif key == "proto" and value in _PROTOCOLS:
            rule["protocol"] = value
        else:
            raise ValueError(f"invalid rule {text!r}: give TO[,port=PORT][,proto=tcp]")
    return rule


def parse_expose(text: str) -> list[str]:
    """Return "80/tcp" for each port of `--expose 80-81/tcp`.

    Raises:
        ValueError: No such form.
    """
    ports, _, protocol = text.partition("/")
    if protocol not in ("", *_PROTOCOLS):
        raise ValueError(f"invalid proto: {protocol}: use tcp, udp or sctp")
    first, last = _port_range("containerPort", ports)
    return [f"{port}/{protocol or 'tcp'}" for port in range(first, last + 1)]


def parse_network(text: str) -> Fields:
    """Return the attachment of `--network`: a name, or name=...,alias=...,ip=... as one record of CSV.

    Raises:
        ValueError: An unknown key, or a wrong value.
    """
    if "=" not in text:
        return {"network": text}
    import csv

    found: Fields = {"network": ""}
    for field in next(csv.reader([text]), []):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"invalid field {field!r} must be a key=value pair")
        _apply_network_key(found, key.strip().lower(), value.strip())
    if not found["network"]:
        raise ValueError("network name/id is not specified")
    return found


def _apply_network_key(found: Fields, key: str, value: str) -> None:
    if key == "name":
        found["network"] = value
    elif key == "alias":
        found.setdefault("aliases", []).append(value)
    elif key == "driver-opt":
        name, option = parse_driver_option(value)
        found.setdefault("driver_opts", {})[name] = option
    elif key in ("ip", "ip6"):
        found["ipv4_address" if key == "ip" else "ipv6_address"] = parse_address(value)
    elif key == "mac-address":
        found["mac_address"] = value
    elif key == "link-local-ip":
        found.setdefault("link_local_ips", []).append(parse_address(value))
    elif key == "gw-priority":
        found["gw_priority"] = parse_priority(value)
    else:
        raise ValueError(f"invalid field key {key}")


def parse_driver_option(text: str) -> tuple[str, str]:
    """Return the key and the value of "key=value", the key in lower case as Docker has it.

    Raises:
        ValueError: No such form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError("invalid key value pair format in driver options")
    return key.strip().lower(), value.strip()


def parse_priority(text: str) -> int:
    """Return the priority of a network for the default route.

    Raises:
        ValueError: No number of 32 bits.
    """
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"invalid gw-priority: {text!r}") from None
    if not -(1 << 31) <= number < 1 << 31:
        raise ValueError(f"invalid gw-priority: {text!r} is out of range")
    return number


def parse_ulimit(text: str) -> Fields:
    """Return the limit of `--ulimit`: name=soft[:hard].

    Raises:
        ValueError: No such form.
    """
    name, has_value, value = text.partition("=")
    if not has_value or not value:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}: use one of {', '.join(ULIMITS)}")
    limits = value.split(":")
    if len(limits) > 2:
        raise ValueError(f"too many limit values: {value}: at most soft:hard")
    try:
        soft, hard = int(limits[0]), int(limits[-1])
    except ValueError:
        raise ValueError(f"invalid limit value: {value}: use whole numbers") from None
    if min(soft, hard) < -1:
        raise ValueError(f"invalid limit value: {value}: -1 means unlimited")
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(
            f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )
    return {"name": name, "soft": soft, "hard": hard}


def parse_device(text: str) -> Fields:
    """Return the device of `--device`: host path[:container path][:rwm].

    Raises:
        ValueError: No such form.
    """
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise ValueError(f"invalid device specification: {text}")
    host, permissions = parts[0], "rwm"
    container = host
    if len(parts) == 2 and set(parts[1]) <= set("rwm"):
        permissions = parts[1]
    elif len(parts) > 1:
        container = parts[1]
    if len(parts) == 3:
        permissions = parts[2]
    if not set(permissions) <= set("rwm"):
        raise ValueError(f"invalid device mode: {permissions}: use letters of rwm")
    if not (host.startswith("/") and container.startswith("/")):
        raise ValueError(f"{text} is not an absolute path")
    return {"host_path": host, "container_path": container, "permissions": permissions}


def is_cdi(text: str) -> bool:
    """Tell whether a device is one of CDI, "vendor.com/class=name", as Docker tells it from a path."""
    kind, equals, name = text.partition("=")
    vendor, slash, family = kind.partition("/")
    return bool(equals and name and slash and vendor and family) and "/" not in family


def parse_device_or_cdi(text: str) -> Fields:
    """Return the device of `--device`: a path, or the name of a device of CDI as "cdi".

    Raises:
        ValueError: Neither.
    """
    return {"cdi": text} if is_cdi(text) else parse_device(text)


def parse_gpus(text: str) -> list[str]:
    """Return the devices of CDI that `--gpus` means: all, a number of them, or device=0,1.

    Raises:
        ValueError: No such form.
    """
    fields = [part.strip() for part in text.strip('"').split(",")]
    if fields == ["all"] or fields == ["count=all"]:
        return ["nvidia.com/gpu=all"]
    first = fields[0].removeprefix("count=")
    if first.isascii() and first.isdigit() and len(fields) == 1 and int(first) <= 1024:
        return [f"nvidia.com/gpu={number}" for number in range(int(first))]
    if fields[0].startswith("device=") and all(fields):
        names = [fields[0].removeprefix("device="), *fields[1:]]
        if all(names) and not any("=" in name for name in names):
            return [f"nvidia.com/gpu={name}" for name in names]
    raise ValueError(f"invalid value for gpus: {text}: use all, a number, or device=0,1")


def parse_device_weight(text: str) -> Fields:
    """Return path and value of `--blkio-weight-device`: device:weight, 10 to 1000 (0 means none).

    Raises:
        ValueError: No such form.
    """
    path, value = _device_limit(text)
    if not (value.isascii() and value.isdigit()) or not (value == "0" or 10 <= int(value) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"path": path, "value": int(value)}


def parse_device_bps(text: str) -> Fields:
    """Return path and bytes a second of `--device-read-bps`: device:number[unit].

    Raises:
        ValueError: No such form.
    """
    path, value = _device_limit(text)
    try:
        rate = parse_size(value)
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is "
            "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional "
            "and can be kb, mb, or gb"
        ) from None
    return {"path": path, "value": rate}


def parse_device_iops(text: str) -> Fields:
    """Return path and operations a second of `--device-read-iops`: device:number.

    Raises:
        ValueError: No such form.
    """
    path, value = _device_limit(text)
    if not (value.isascii() and value.isdigit()):
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        )
    return {"path": path, "value": int(value)}


def _device_limit(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, value


def parse_device_rule(text: str) -> str:
    """Return a rule of `--device-cgroup-rule` as it is, "c 10:229 rwm".

    Raises:
        ValueError: No such form.
    """
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    parts = numbers.split(":")
    known = kind in ("a", "b", "c") and len(parts) == 2
    if (
        not known
        or not all(part == "*" or (part.isascii() and part.isdigit()) for part in parts)
        or not 1 <= len(access) <= 3
        or not set(access) <= set("rwm")
    ):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def parse_time_offset(text: str) -> tuple[str, int]:
    """Return the clock and the nanoseconds of `--time-offset`: boottime=1h, monotonic=-30s.

    Raises:
        ValueError: No such form.
    """
    clock, equals, value = text.partition("=")
    if not equals or clock not in ("monotonic", "boottime"):
        raise ValueError(f"invalid offset {text!r}: use monotonic=DURATION or boottime=DURATION")
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(value[-1:], 0)
    number = value[:-1] if unit else value
    try:
        return clock, round(float(number) * (unit or 1) * 10**9)
    except (ValueError, OverflowError):
        raise ValueError(f"invalid offset {text!r}: use seconds, or a unit of s, m, h, d") from None


def parse_hugepages(text: str) -> tuple[str, int]:
    """Return the size of pages and the bytes of `--hugepages`: 2MB=64m.

    Raises:
        ValueError: No such form.
    """
    size, equals, value = text.partition("=")
    if not equals or not size:
        raise ValueError(f"invalid limit of huge pages {text!r}: use SIZE=BYTES, 2MB=64m")
    return size, parse_size(value)


def parse_extra_host(text: str) -> str:
    """Return "name:address" of `--add-host`, which may have "=" for the first colon.

    Raises:
        ValueError: No such form.
    """
    name, has_address, address = text.partition("=")
    if not has_address:
        name, has_address, address = text.partition(":")
    if not name or not address:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != "host-gateway":
        try:
            _check_address(address)
        except ValueError:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{address}"


def parse_secret(text: str) -> Fields:
    """Return the fields of a SecretMount of "NAME[,target=PLACE][,uid=ID][,gid=ID][,mode=OCTAL]".

    Raises:
        ValueError: A part is none of these.
    """
    name, *parts = text.split(",")
    found: Fields = {"secret": name.removeprefix("source=").removeprefix("src=")}
    for part in parts:
        key, _, value = part.partition("=")
        plain = value.isascii() and value.isdigit() and len(value) <= 10
        if key in ("target", "dst", "destination") and value:
            found["target"] = value
        elif key in ("uid", "gid") and plain and int(value) < 1 << 32:
            found[key] = int(value)
        elif key == "mode" and plain and set(value) <= set("01234567"):
            found["mode"] = int(value, 8)
        elif part != "type=mount":
            raise ValueError(f"invalid secret option {part!r}: use target, uid, gid or mode")
    if not found["secret"]:
        raise ValueError(f"invalid secret {text!r}: no name")
    return found


def parse_platform(text: str) -> Fields:
    """Return the platform of "os/architecture[/variant]" or of an architecture alone.

    Raises:
        ValueError: No such form.
    """
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"invalid platform {text!r}: use os/architecture[/variant]")
    if len(parts) == 1:
        if parts[0] == "linux":
            return {"os": "linux"}
        parts.insert(0, "linux")
    return dict(zip(("os", "architecture", "variant"), parts, strict=False))
