"""Where cgroups are."""

from __future__ import annotations

import pytest

from scow.container.spec import cgroup_parent
from scow.contract.errors import InvalidConfig


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "scow"),
        ("/a/b", "a/b"),
        ("a", "a"),
        ("web.slice", "web.slice"),
        ("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice"),
        ("/a.slice/a-b.slice", "a.slice/a-b.slice"),
    ],
)
def test_places(given: str, path: str) -> None:
    assert cgroup_parent.resolve(given, "scow") == path


@pytest.mark.parametrize(
    "given", ["/", "..", "/a/../b", "a//b", "a/", "a b", "-.slice", "a--b.slice", "x" * 2000]
)
def test_refused(given: str) -> None:
    with pytest.raises(InvalidConfig):
        cgroup_parent.resolve(given, "scow")
