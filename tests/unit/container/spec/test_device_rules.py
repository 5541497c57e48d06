"""Rules about devices in the kernel's words."""

from __future__ import annotations

import pytest

from scow.container.spec import device_rules
from scow.contract.errors import InvalidConfig


def test_rules() -> None:
    assert device_rules.parse(["c 10:229 rwm", "b *:0 r", "a *:* m"]) == [
        {"allow": True, "type": "c", "access": "rwm", "major": 10, "minor": 229},
        {"allow": True, "type": "b", "access": "r", "minor": 0},
        {"allow": True, "type": "a", "access": "m"},
    ]


@pytest.mark.parametrize("rule", ["", "c 1:2", "d 1:2 r", "c 1 r", "c 1:2 x", "c 1:2 rwmr"])
def test_other_forms(rule: str) -> None:
    with pytest.raises(InvalidConfig):
        device_rules.parse([rule])
