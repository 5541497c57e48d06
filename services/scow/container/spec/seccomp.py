"""Seccomp profiles in Docker's published form, made into OCI `linux.seccomp` for one container.

The default profile is such a file too, `seccomp_default.json` beside this module: as strict as Docker's, and stricter
in two places that say why. A profile may have `archMap`, and rules that hold or not by capability, architecture and
kernel (`includes`, `excludes`). Names that libseccomp does not know are passed over by the shim.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scow.container.model.invalid import invalid

DEFAULT_FILE = Path(__file__).with_name("seccomp_default.json")
_FIELD = "security_opts"
# Machines of uname(2) as Docker's profiles name them: as Go does.
_PROFILE_ARCHES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "x86", "armv7l": "arm"}
_ADVICE = "give JSON in the form of Docker's profiles, or seccomp=unconfined"
_ACTIONS = frozenset(
    f"SCMP_ACT_{name}"
    for name in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "LOG", "ALLOW"]
)
_OPERATORS = frozenset(
    f"SCMP_CMP_{name}" for name in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
)
_FLAGS = frozenset(f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW"))

Rule = dict[str, Any]


def default(capabilities: Collection[str], machine: str = "", kernel: str = "") -> dict[str, Any]:
    """Return the default profile for a container, not to be changed; the arguments are those of `custom`."""
    return _default_for(frozenset(capabilities), machine, kernel)


@functools.lru_cache(maxsize=64)
def _default_for(capabilities: frozenset[str], machine: str, kernel: str) -> dict[str, Any]:
    return _choose(_default(), capabilities, machine, kernel)


@functools.cache
def _default() -> dict[str, Any]:
    given: dict[str, Any] = json.loads(DEFAULT_FILE.read_bytes())
    return given


def custom(
    text: str, capabilities: Collection[str], machine: str = "", kernel: str = ""
) -> dict[str, Any]:
    """Return the profile of a JSON text.

    Args:
        text: The JSON.
        capabilities: Of the container, names with "CAP_".
        machine: As uname(2) has it; empty means this one.
        kernel: Release as uname(2) has it; empty means this one.

    Raises:
        InvalidConfig: The text is no such profile.
    """
    try:
        return _choose(json.loads(text), capabilities, machine, kernel)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise invalid(
            _FIELD,
            f"has a seccomp profile that cannot be read ({error})",
            _ADVICE,
        ) from error


def check(text: str) -> None:
    """Refuse a profile with something in it that no container could be started with, whatever its capabilities.

    Raises:
        InvalidConfig: It names what is wrong.
    """
    custom(text, ())
    given = json.loads(text)
    try:
        _check_word("defaultAction", given["defaultAction"], _ACTIONS)
        for flag in given.get("flags") or ():
            _check_word("flags", flag, _FLAGS)
        for rule in given.get("syscalls") or ():
            _check_word("action", rule["action"], _ACTIONS)
            for argument in rule.get("args") or ():
                _check_argument(argument)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise invalid(
            _FIELD, f"has a seccomp profile that cannot be used ({error})", _ADVICE
        ) from error


def _check_argument(argument: Mapping[str, Any]) -> None:
    _check_word("op", argument.get("op", ""), _OPERATORS)
    if argument.get("index", 0) not in range(6):
        raise ValueError(f"it has the argument {argument['index']}: there are 0 to 5")
    if not all(0 <= argument.get(key, 0) < 1 << 64 for key in ("value", "valueTwo")):
        raise ValueError("it has a value that is no number of 64 bits")


def _check_word(field: str, word: str, known: Collection[str]) -> None:
    if word == "SCMP_ACT_NOTIFY":
        raise ValueError("SCMP_ACT_NOTIFY is not supported: nobody would answer")
    if word not in known:
        raise ValueError(f"{field} has the unknown {word!r}")


def _choose(
    given: Mapping[str, Any], capabilities: Collection[str], machine: str, kernel: str
) -> dict[str, Any]:
    """Return what of a profile holds for one container."""
    uname = os.uname()
    machine = machine or uname.machine
    facts = _Facts(
        frozenset(capabilities),
        _PROFILE_ARCHES.get(machine, machine),
        _version(kernel or uname.release),
    )
    if given.get("archMap") and given.get("architectures"):
        raise ValueError("it has both archMap and architectures")
    if given.get("listenerPath"):
        raise ValueError("listenerPath is not supported")
    profile: dict[str, Any] = {
        "defaultAction": given["defaultAction"],
        "architectures": _architectures(given, machine),
        "syscalls": [_strip(rule) for rule in given.get("syscalls") or () if facts.wants(rule)],
    }
    for key in ("defaultErrnoRet", "flags"):
        if given.get(key) is not None:
            profile[key] = given[key]
    return profile


class _Facts:
    """What the conditions of a rule are about."""

    def __init__(self, capabilities: frozenset[str], arch: str, kernel: tuple[int, ...]) -> None:
        self._capabilities = capabilities
        self._arch = arch
        self._kernel = kernel

    def wants(self, rule: Mapping[str, Any]) -> bool:
        """Tell whether a rule holds: all of `includes`, none of `excludes`."""
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        return (
            all(name in self._capabilities for name in includes.get("caps") or ())
            and self._arch_in(includes.get("arches"), True)
            and self._kernel >= _version(includes.get("minKernel") or "0")
            and not any(name in self._capabilities for name in excludes.get("caps") or ())
            and not self._arch_in(excludes.get("arches"), False)
            and not self._new_enough(excludes.get("minKernel"))
        )

    def _arch_in(self, arches: Sequence[str] | None, default: bool) -> bool:
        return self._arch in arches if arches else default

    def _new_enough(self, version: str | None) -> bool:
        return bool(version) and self._kernel >= _version(version or "0")


def _strip(rule: Mapping[str, Any]) -> Rule:
    if rule.get("name") and rule.get("names"):
        raise ValueError("a rule has both name and names")
    names = list(rule.get("names") or ([rule["name"]] if rule.get("name") else []))
    kept: Rule = {"names": names, "action": rule["action"]}
    for key in ("errnoRet", "args"):
        if rule.get(key) is not None:
            kept[key] = rule[key]
    return kept


def _architectures(given: Mapping[str, Any], machine: str) -> list[str]:
    if given.get("architectures"):
        return list(given["architectures"])
    own = f"SCMP_ARCH_{machine.upper()}"
    for entry in given.get("archMap") or ():
        if entry["architecture"] == own:
            return [own, *(entry.get("subArchitectures") or ())]
    return []  # the machine's own alone


def _version(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split("-")[0].split("."):
        if not (part.isascii() and part.isdigit() and len(part) <= 9):
            break
        numbers.append(int(part))
    return tuple(numbers)
