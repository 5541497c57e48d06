"""How much a container may write into its own layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import Mount
from scow.container.spec import storage
from scow.contract.errors import InvalidConfig, KernelUnsupported


def test_sizes() -> None:
    assert storage.size(ContainerConfig()) == 0
    assert storage.size(ContainerConfig(storage_opts={"size": "10g"})) == 10 << 30
    assert storage.size(ContainerConfig(storage_opts={"Size": "1048576"})) == 1 << 20


@pytest.mark.parametrize("options", [{"size": "x"}, {"size": "0"}, {"size": "1k"}, {"inodes": "5"}])
def test_wrong_options(options: dict[str, str]) -> None:
    with pytest.raises(InvalidConfig):
        storage.size(ContainerConfig(storage_opts=options))


def test_a_file_system_without_limits(tmp_path: Path) -> None:
    upper = tmp_path / "a:b"
    upper.mkdir()
    options = ["lowerdir=/x", f"upperdir={str(upper).replace(':', chr(92) + ':')}"]
    with pytest.raises(KernelUnsupported):
        storage.check([Mount(type="erofs"), Mount(type="overlay", options=options)])


def test_numbers() -> None:
    first = storage.project([])
    assert storage.project([0, first, first + 2]) == first + 1
