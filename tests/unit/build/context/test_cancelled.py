"""A descriptor that a thread writes to is closed when the thread has ended, not when the build is cancelled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.build.context import directory, git
from scow.build.context.git import GitUrl


async def cancelled(
    work: Coroutine[Any, Any, object], module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> list[bool]:
    """Cancel the work while a thread writes; return whether each file was open still when it went on."""
    started, go, finished = threading.Event(), threading.Event(), threading.Event()
    write = module._write_all
    found: list[bool] = []

    def slow(descriptor: int, data: bytes) -> None:
        if threading.current_thread() is not threading.main_thread():
            before = os.fstat(descriptor).st_ino
            started.set()
            go.wait(20)
            try:
                found.append(os.fstat(descriptor).st_ino == before)
            except OSError:
                found.append(False)
            finally:
                finished.set()
        write(descriptor, data)

    monkeypatch.setattr(module, "_write_all", slow)
    task = asyncio.create_task(work)
    await asyncio.to_thread(started.wait, 20)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    go.set()
    await asyncio.to_thread(finished.wait, 20)
    with pytest.raises(asyncio.CancelledError):
        await task
    return found


async def test_a_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def take() -> None:
        descriptor = os.open(tmp_path / "pack", os.O_WRONLY | os.O_CREAT)
        try:
            piece = pb.BuildRequest.Content.Piece(index=0, chunk=bytes(1 << 20))
            receiving = directory._Receiving(descriptor, 1, [], [])
            await receiving.take(pb.BuildRequest.Content(pieces=[piece]), {0})
        finally:
            os.close(descriptor)

    assert await cancelled(take(), directory, monkeypatch) == [True]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=path, check=True)
    return path


async def test_a_git_directory(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = GitUrl.parse(f"file://{repository}", allow_files=True)
    work = git.fetch(url, str(tmp_path), keep_git_dir=True, allow_files=True)
    found = await cancelled(work, git, monkeypatch)
    assert found
    assert all(found)
