"""Ranges of ids for user namespaces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.container.lifecycle import id_ranges
from scow.contract.errors import InvalidConfig, KernelUnsupported, ResourceExhausted
from scow.core.config import ContainerSection


class _Containers:
    """What is asked of `Containers`: who has which range."""

    def __init__(self, *ranges: tuple[int, int]) -> None:
        self._entries = [
            SimpleNamespace(
                described=pb.Container(
                    id_range=pb.IdRange(first=first, size=size) if size else None
                )
            )
            for first, size in ranges
        ]

    def all(self) -> list[Any]:
        return self._entries

    def find(self, name: str) -> Any:
        return self._entries[int(name)]


def _choose(mode: str, *ranges: tuple[int, int], **section: Any) -> tuple[int, int] | None:
    found = id_ranges.choose(
        pb.ContainerConfig(userns_mode=mode),
        _Containers(*ranges),  # type: ignore[arg-type]
        ContainerSection(userns_first=1000, userns_size=100, userns_ranges=4, **section),
    )
    return None if found is None else (found.first, found.size)


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        ((), 1000),
        (((1000, 100), (1200, 100)), 1100),
        # Of other sizes, across the borders of the pool's, and apart from the pool.
        (((1050, 100),), 1200),
        (((900, 101),), 1100),
        (((900, 100), (0, 0), (5000, 10)), 1000),
        (((1000, 250),), 1300),
    ],
)
def test_the_first_free_range(taken: tuple[tuple[int, int], ...], first: int) -> None:
    assert _choose("auto", *taken) == (first, 100)


def test_all_are_taken() -> None:
    with pytest.raises(ResourceExhausted):
        _choose("auto", (1000, 400))


def test_modes() -> None:
    assert _choose("") is None
    assert _choose("", userns="auto") == (1000, 100)
    assert _choose("host", userns="auto") is None
    assert _choose("private") == (1000, 100)
    assert _choose("private:5:6") == (5, 6)
    assert _choose("container:0", (7, 8)) == (7, 8)
    assert _choose("container:0", (0, 0)) is None


@pytest.mark.parametrize(
    "mode", ["private:0:1", "private:1:0", "private:1", "private:a:b", "private:4294967295:1"]
)
def test_wrong_ranges(mode: str) -> None:
    with pytest.raises(InvalidConfig):
        _choose(mode)


@pytest.mark.parametrize("mode", ["private:90:11", "private:199:5", "private:100:100"])
def test_another_containers_range(mode: str) -> None:
    with pytest.raises(InvalidConfig, match="ids of another container"):
        _choose(mode, (100, 100))


def test_old_kernels() -> None:
    id_ranges._check_kernel("5.19.0-1-amd64")
    id_ranges._check_kernel("odd")
    with pytest.raises(KernelUnsupported):
        id_ranges._check_kernel("5.18.9")
