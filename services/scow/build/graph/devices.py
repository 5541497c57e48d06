"""`RUN --device=NAME[,required]`: devices that CDI specifications of the host describe.

NAME is "vendor.com/class=device", "vendor.com/class=*" for all of a class, or "vendor.com/class" for the first. The
container service finds them. A device that is not required and not there, or not allowed, is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scow.api.build.v1 import build_pb2 as pb
from scow.build.frontend.steps import RunStep
from scow.contract.errors import InvalidArgument, PermissionDenied

ENTITLEMENT = "device"
_BOOLEANS = {"": True, "true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Device:
    """A device that a step asks for."""

    name: str
    is_required: bool


def wanted(step: RunStep, options: pb.BuildOptions, allowed: Collection[str]) -> tuple[Device, ...]:
    """Return the devices that a step gets, where they are there.

    Args:
        step: The step.
        options: Of the build, which has to ask for devices as well.
        allowed: What the engine lets builds ask for.

    Raises:
        InvalidArgument: A device that cannot be read.
        PermissionDenied: One is required, and the build or the engine does not allow it.
    """
    found = tuple(_parsed(text) for text in step.devices)
    refusal = _refusal(options.entitlements, allowed)
    if not refusal:
        return found
    for device in found:
        if device.is_required:
            raise PermissionDenied(
                f"RUN --device={device.name} is not allowed",
                what="entitlement",
                which=ENTITLEMENT,
                do=refusal,
            )
    return ()


def _refusal(asked: Sequence[str], allowed: Collection[str]) -> str:
    """Return what to do that devices are allowed; empty where they are."""
    if ENTITLEMENT not in allowed:
        return f"let who administers the engine add {ENTITLEMENT} to build.allow"
    return "" if ENTITLEMENT in asked else f"give --allow {ENTITLEMENT}"


def _parsed(text: str) -> Device:
    name, *flags = text.split(",")
    if name.startswith("name="):
        name = name.removeprefix("name=")
    is_required = False
    for flag in flags:
        key, _, value = flag.strip().partition("=")
        if key != "required" or value.lower() not in _BOOLEANS:
            raise _invalid(text, f"unexpected {flag[:40]!r}")
        is_required = _BOOLEANS[value.lower()]
    if not name or name.isspace():
        raise _invalid(text, "a name is missing")
    return Device(name.strip(), is_required)


def _invalid(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"the device {text[:80]!r} cannot be read: {why}",
        what="device",
        which=text[:80],
        do="write --device=vendor.com/class=name, or --device=vendor.com/class=name,required",
    )
