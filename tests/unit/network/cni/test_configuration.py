"""Files that may be configurations of networks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scow.contract.errors import InvalidCniConfig, NetworkNotFound
from scow.network.cni import configuration

_NET = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}]}


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "10-rubbish.conf").write_text("{")
    (tmp_path / "20-net.conflist").write_text(json.dumps(_NET))
    assert configuration.load("net", tmp_path).name == "net"
    with pytest.raises(InvalidCniConfig, match="10-rubbish"):
        configuration.load("other", tmp_path)
    (tmp_path / "10-rubbish.conf").unlink()
    with pytest.raises(NetworkNotFound):
        configuration.load("other", tmp_path)


@pytest.mark.parametrize("name", ["net", "path"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / "net.conf"
    os.mkfifo(pipe)
    with pytest.raises(InvalidCniConfig, match="not a regular file"):
        configuration.load(str(pipe) if name == "path" else name, tmp_path)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "net.conf"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidCniConfig, match="too large"):
        configuration.load(str(path), tmp_path)
