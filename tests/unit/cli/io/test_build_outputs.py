"""Where outputs of builds go."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.cli.flags.build_flags import BUILD_FLAGS
from scow.cli.flags.parser import Refused, parse
from scow.cli.io.build_outputs import Sinks


def tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def sinks(*arguments: str) -> Sinks:
    return Sinks(parse(BUILD_FLAGS, [*arguments, "."]), pb.BuildOptions())


def test_an_output_that_is_refused_leaves_no_other_waiting(tmp_path: Path) -> None:
    before = threading.active_count()
    refused = sinks("-o", str(tmp_path / "out"), "-o", f"type=tar,dest={tmp_path}/none/x")
    with pytest.raises(Refused, match="no such file or directory"), refused:
        raise AssertionError("it began")
    assert threading.active_count() == before


def test_nothing_is_open_before_the_build_begins(tmp_path: Path) -> None:
    before = threading.active_count()
    sinks("-o", str(tmp_path / "out"), "-o", f"type=tar,dest={tmp_path}/file")
    assert threading.active_count() == before
    assert not (tmp_path / "file").exists()


def test_a_folder_and_a_file(tmp_path: Path) -> None:
    with sinks("-o", str(tmp_path / "out"), "-o", f"type=tar,dest={tmp_path}/file") as opened:
        opened.takers[0](tar("a", b"of a"))
        opened.takers[1](b"bytes")
    assert (tmp_path / "out/a").read_bytes() == b"of a"
    assert (tmp_path / "file").read_bytes() == b"bytes"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a file")
    with (
        pytest.raises(Refused, match="the output cannot be written"),
        sinks("-o", str(tmp_path / "out")) as opened,
    ):
        opened.takers[0](tar("a", b"of a"))
    with pytest.raises(KeyboardInterrupt), sinks("-o", str(tmp_path / "out")) as opened:
        opened.takers[0](tar("a", b"of a"))
        raise KeyboardInterrupt
