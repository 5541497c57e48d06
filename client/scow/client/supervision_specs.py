"""The short forms of restart policies and dependencies, as `scow.client.specs` has those of the rest."""

from __future__ import annotations

from scow.words.durations import nanoseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Fields = dict[str, Any]

_POLICIES = ("no", "always", "on-failure", "unless-stopped")
_CONDITIONS = ("started", "healthy", "completed")
_KINDS = ("liveness", "readiness", "startup")
_ACTIONS = ("none", "restart", "stop", "kill")


def parse_restart(text: str) -> Fields:
    """Return the restart policy of `--restart`: "always", "on-failure:3"; what Docker says of wrong ones.

    Raises:
        ValueError: No such policy.
    """
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if name and name not in _POLICIES:
        raise ValueError(f"invalid restart policy {name!r}: use one of {', '.join(_POLICIES)}")
    if not colon:
        return {"name": name}
    digits = count.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    if name != "on-failure" and int(count):
        raise ValueError(f"maximum retry count cannot be used with restart policy {name!r}")
    if int(count) < 0:
        raise ValueError("maximum retry count cannot be negative")
    return {"name": name, "maximum_retry_count": int(count)}


def parse_dependency(text: str) -> Fields:
    """Return what is depended on: "NAME" or "NAME:CONDITION".

    Raises:
        ValueError: No such form.
    """
    container, colon, condition = text.partition(":")
    if not container or (colon and condition not in _CONDITIONS):
        raise ValueError(
            f"invalid dependency {text!r}: use NAME or NAME:CONDITION, the condition one of "
            + ", ".join(_CONDITIONS)
        )
    return {"container": container, "condition": condition}


def parse_probe(text: str) -> Fields:
    """Return a probe: "[KIND=]http:[ADDRESS:]PORT[/PATH]", "tcp:[ADDRESS:]PORT", "grpc:[ADDRESS:]PORT[/SERVICE]".

    Raises:
        ValueError: No such form.
    """
    head, equals, rest = text.partition("=")
    kind, probe = (head, rest) if equals and head in _KINDS else ("", text)
    protocol, _, place = probe.partition(":")
    host, slash, path = place.partition("/")
    address, colon, port = host.rpartition(":")
    if colon and address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    fits = protocol in ("http", "tcp", "grpc") and not (protocol == "tcp" and slash)
    if not (fits and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError(
            f"invalid probe {text!r}: use http:PORT/PATH, tcp:PORT or grpc:PORT/SERVICE, after KIND= if wished"
        )
    target = slash + path if protocol == "http" else path
    return {
        "kind": kind,
        "protocol": protocol,
        "address": address,
        "port": int(port),
        "target": target,
    }


def parse_health_action(text: str) -> str:
    """Return the action itself.

    Raises:
        ValueError: No such action.
    """
    if text not in _ACTIONS:
        raise ValueError(f"invalid action {text!r}: use one of {', '.join(_ACTIONS)}")
    return text


def parse_duration(text: str) -> int:
    """Return the nanoseconds of "1m30s".

    Raises:
        ValueError: No such form.
    """
    found = nanoseconds(text)
    if found is None:
        raise ValueError(f"invalid duration {text!r}: use 500ms, 30s, 1m30s")
    return found


def parse_percent(text: str) -> int:
    """Return the number of "25" or "25%".

    Raises:
        ValueError: No number from 0 to 100.
    """
    digits = text.removesuffix("%")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 3 and int(digits) <= 100):
        raise ValueError(f"invalid percentage {text!r}: use 0 to 100")
    return int(digits)
