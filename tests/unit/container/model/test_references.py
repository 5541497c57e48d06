"""Configurations that name other containers follow when those are renamed."""

from __future__ import annotations

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.container.model import references


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (pb.ContainerConfig(network="container:db"), pb.ContainerConfig(network="container:store")),
        (
            pb.ContainerConfig(pid_mode="container:db"),
            pb.ContainerConfig(pid_mode="container:store"),
        ),
        (
            pb.ContainerConfig(ipc_mode="container:db"),
            pb.ContainerConfig(ipc_mode="container:store"),
        ),
        (
            pb.ContainerConfig(links=["web", "db:data", "/db"]),
            pb.ContainerConfig(links=["web", "store:data", "store:db"]),
        ),
    ],
)
def test_a_reference_follows(before: pb.ContainerConfig, after: pb.ContainerConfig) -> None:
    assert references.has(before, "db")
    references.change(before, "db", "store")
    assert before == after


@pytest.mark.parametrize(
    "config",
    [
        pb.ContainerConfig(network="db", pid_mode="host", links=["other:db"]),
        pb.ContainerConfig(network="container:db2", ipc_mode="shareable", links=["db2"]),
    ],
)
def test_what_names_others_stays(config: pb.ContainerConfig) -> None:
    assert not references.has(config, "db")
    same = pb.ContainerConfig()
    same.CopyFrom(config)
    references.change(config, "db", "store")
    assert config == same
