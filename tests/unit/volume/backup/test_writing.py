"""The process that cuts ends with whoever wanted its chunks."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import cast

import pytest

from scow.volume.backup.writing import Progress, Writer
from scow.volume.peers.image import Repository


class RefusedError(Exception):
    """What the registry says."""


async def refuse(*_: object) -> None:
    raise RefusedError


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


async def test_one_that_fails_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(8 << 20))
    monkeypatch.setattr(Writer, "_take", refuse)
    before = children()
    root = os.open(tmp_path, os.O_RDONLY)
    writer = Writer(cast("Repository", None), None, {}, Progress())
    with pytest.raises(RefusedError) as caught:
        await writer.run(root)
    assert caught.value.__traceback__ is not None  # which keeps what the call had
    assert children() == before
    os.close(root)
