"""Limits that take the place of others."""

from __future__ import annotations

import pytest

from scow.api.container.v1.container_pb2 import DeviceLimit, Resources
from scow.container.limits.update import merged
from scow.contract.errors import InvalidConfig


def test_what_is_set_replaces_and_the_rest_stays() -> None:
    had = Resources(memory=1 << 26, pids_limit=5, cpuset_cpus="0", memory_swappiness=0)
    found = merged(had, Resources(memory=1 << 27, memory_swappiness=10))
    assert found == Resources(memory=1 << 27, pids_limit=5, cpuset_cpus="0", memory_swappiness=10)
    assert had.memory == 1 << 26


def test_lists_and_maps_are_replaced_as_a_whole() -> None:
    one, other = DeviceLimit(path="/dev/a", value=1), DeviceLimit(path="/dev/b", value=2)
    had = Resources(device_read_bps=[one], hugepages={"2MB": 1})
    changes = Resources(device_read_bps=[other], hugepages={"1GB": 2})
    assert merged(had, changes) == changes


def test_rules_for_devices_are_refused() -> None:
    with pytest.raises(InvalidConfig):
        merged(Resources(), Resources(device_cgroup_rules=["c 1:3 r"]))
