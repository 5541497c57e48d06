"""Seccomp profiles: the default one, and those that people bring, as OCI `linux.seccomp`."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scow.container.model.invalid import invalid
from scow.container.spec import seccomp_table as table

_ALLOW = "SCMP_ACT_ALLOW"
_ERRNO = "SCMP_ACT_ERRNO"
_FIELD = "security_opts"
# Machines of uname(2) as Docker's profiles name them.
_PROFILE_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}

Rule = dict[str, Any]


def default(capabilities: Collection[str], machine: str = "") -> dict[str, Any]:
    """Return the default profile for a container with these capabilities.

    Args:
        capabilities: Names with "CAP_".
        machine: As uname(2) has it; empty means this one.
    """
    machine = machine or os.uname().machine
    names = set(table.ALWAYS)
    names.update(table.BY_MACHINE.get(machine, ()))
    for capability, guarded in table.BY_CAPABILITY.items():
        if capability in capabilities:
            names.update(guarded.split())
    rules = [_rule(sorted(names)), _rule(["socket"], _arg(0, table.AF_VSOCK, "NE"))]
    rules += [_rule(["personality"], _arg(0, value, "EQ")) for value in table.PERSONALITIES]
    if "CAP_SYS_ADMIN" not in capabilities:
        # Threads and processes, but no namespaces. The flags of clone3 are behind a pointer that a filter cannot
        # follow: programs that get ENOSYS fall back to clone.
        rules.append(_rule(["clone"], _arg(0, table.NAMESPACE_FLAGS, "MASKED_EQ")))
        rules.append({"names": ["clone3"], "action": _ERRNO, "errnoRet": table.ENOSYS})
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": 1,
        "architectures": list(table.ARCHITECTURES.get(machine, ())),
        "syscalls": rules,
    }


def _rule(names: list[str], *args: dict[str, Any]) -> Rule:
    rule: Rule = {"names": names, "action": _ALLOW}
    if args:
        rule["args"] = list(args)
    return rule


def _arg(index: int, value: int, operator: str) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": 0, "op": f"SCMP_CMP_{operator}"}


def custom(
    text: str, capabilities: Collection[str], machine: str = "", kernel: str = ""
) -> dict[str, Any]:
    """Return the profile of a JSON text, OCI's or Docker's form.

    Docker's form has `archMap`, and rules that hold or not by capability, architecture and kernel
    (`includes`, `excludes`).

    Args:
        text: The JSON.
        capabilities: Of the container.
        machine: As uname(2) has it; empty means this one.
        kernel: Release as uname(2) has it; empty means this one.

    Raises:
        InvalidConfig: The text is no such profile.
    """
    uname = os.uname()
    facts = _Facts(
        frozenset(capabilities),
        _PROFILE_ARCHES.get(machine or uname.machine, machine or uname.machine),
        _version(kernel or uname.release),
    )
    try:
        given = json.loads(text)
        rules = [_strip(rule) for rule in given.get("syscalls") or () if facts.wants(rule)]
        profile = {
            "defaultAction": given["defaultAction"],
            "architectures": _architectures(given, machine or uname.machine),
            "syscalls": rules,
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise invalid(
            _FIELD,
            f"has a seccomp profile that cannot be read ({error})",
            "give JSON in the form of Docker's profiles, or seccomp=unconfined",
        ) from error
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
    names = list(rule.get("names") or ([rule["name"]] if rule.get("name") else []))
    kept: Rule = {"names": names, "action": rule["action"]}
    for key in ("errnoRet", "args"):
        if rule.get(key) is not None:
            kept[key] = rule[key]
    return kept


def _architectures(given: Mapping[str, Any], machine: str) -> list[str]:
    if given.get("architectures"):
        return list(given["architectures"])
    own = table.ARCHITECTURES.get(machine, ("",))[0]
    for entry in given.get("archMap") or ():
        if entry["architecture"] == own:
            return [own, *(entry.get("subArchitectures") or ())]
    return [own] if own else []


def _version(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split("-")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
