"""Rules about devices in the kernel's words, "c 10:229 rwm", as OCI `linux.resources.devices`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from scow.container.model.invalid import invalid

# Docker's form.
_RULE = re.compile(r"([acb]) ([0-9]{1,9}|\*):([0-9]{1,9}|\*) ([rwm]{1,3})")


def parse(rules: Iterable[str]) -> list[dict[str, Any]]:
    """Return what the rules allow.

    Raises:
        InvalidConfig: One has another form.
    """
    found = []
    for text in rules:
        match = _RULE.fullmatch(text)
        if match is None:
            raise invalid(
                "resources.device_cgroup_rules",
                f"has {text!r}",
                'write a rule like "c 10:229 rwm": a, b or c, numbers or *, and what is allowed',
            )
        kind, major, minor, access = match.groups()
        rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        rule |= {
            key: int(number)
            for key, number in (("major", major), ("minor", minor))
            if number != "*"
        }
        found.append(rule)
    return found
