"""Names and sets of capabilities."""

from __future__ import annotations

import pytest

from scow.contract.errors import ScowError
from scow.shim.confine import capabilities
from scow.shim.oci import config


def test_names_are_in_the_kernels_order() -> None:
    assert capabilities.NAMES.index("CAP_CHOWN") == 0
    assert capabilities.NAMES.index("CAP_SYS_ADMIN") == 21
    assert capabilities.NAMES.index("CAP_CHECKPOINT_RESTORE") == 40 == len(capabilities.NAMES) - 1


def test_bits() -> None:
    assert capabilities.bits([]) == 0
    assert capabilities.bits(["CAP_CHOWN", "cap_kill"]) == 1 | 1 << 5


def test_an_unknown_name() -> None:
    with pytest.raises(ScowError) as raised:
        capabilities.bits(["CAP_NONE"])
    assert raised.value.metadata["which"] == "CAP_NONE"


def test_sets_are_limited_to_what_the_engine_holds() -> None:
    names = ("CAP_CHOWN", "CAP_KILL", "CAP_SYS_RESOURCE")
    sets = capabilities.Sets(config.Capabilities(names, names, names, names, names), 1 | 1 << 5)
    for value in (sets.bounding, sets.effective, sets.permitted, sets.inheritable, sets.ambient):
        assert value == 1 | 1 << 5
    assert sets.missing == ("CAP_SYS_RESOURCE",)


def test_effective_needs_permitted_and_ambient_needs_both() -> None:
    wanted = config.Capabilities(
        effective=("CAP_CHOWN", "CAP_KILL"), permitted=("CAP_KILL",), ambient=("CAP_KILL",)
    )
    sets = capabilities.Sets(wanted, ~0)
    assert sets.effective == 1 << 5
    assert sets.ambient == 0


def test_everything() -> None:
    sets = capabilities.everything(0b101)
    assert (sets.bounding, sets.effective, sets.permitted, sets.missing) == (5, 5, 5, ())


def test_held_is_what_proc_says() -> None:
    assert capabilities.held() >= 0
