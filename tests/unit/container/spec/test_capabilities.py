import pytest

from scow.container.spec.capabilities import DEFAULT, KNOWN, choose
from scow.contract.errors import InvalidConfig


def test_the_default_set_is_dockers() -> None:
    assert len(DEFAULT) == 14
    assert choose((), (), privileged=False) == tuple(c for c in KNOWN if c in DEFAULT)


def test_all_41_are_known_in_the_kernels_order() -> None:
    assert len(KNOWN) == 41
    assert (KNOWN[0], KNOWN[21], KNOWN[40]) == (
        "CAP_CHOWN",
        "CAP_SYS_ADMIN",
        "CAP_CHECKPOINT_RESTORE",
    )


def test_add_and_drop() -> None:
    chosen = choose(["net_admin", "CAP_SYS_TIME"], ["chown", "CAP_KILL"], privileged=False)
    assert {"CAP_NET_ADMIN", "CAP_SYS_TIME"} <= set(chosen)
    assert not {"CAP_CHOWN", "CAP_KILL"} & set(chosen)


def test_all() -> None:
    assert choose(["ALL"], [], privileged=False) == KNOWN
    assert choose([], ["all"], privileged=False) == ()
    assert choose(["chown"], ["ALL"], privileged=False) == ("CAP_CHOWN",)
    assert "CAP_SYS_ADMIN" not in choose(["ALL"], ["SYS_ADMIN"], privileged=False)


def test_privileged_has_all_whatever_is_dropped() -> None:
    assert choose([], ["ALL"], privileged=True) == KNOWN


def test_unknown_ones_are_refused() -> None:
    with pytest.raises(InvalidConfig) as caught:
        choose([], ["NET_ADMINS"], privileged=True)
    assert caught.value.which == "cap_drop"
