"""Callers that wait at the same time share a sync, and none is content with one that began before it came."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from scow.image.content.sync import SharedSync
from scow.kernel import syscalls


async def test_callers_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, begun = threading.Semaphore(0), threading.Semaphore(0)
    began: list[int] = []

    def syncfs(descriptor: int) -> None:
        began.append(descriptor)
        begun.release()
        go.acquire()

    monkeypatch.setattr(syscalls, "syncfs", syncfs)
    sync = SharedSync(tmp_path)
    first = asyncio.create_task(sync())
    await asyncio.to_thread(begun.acquire)
    later = [asyncio.create_task(sync()) for _ in range(5)]
    await asyncio.sleep(0)
    go.release()
    await first
    assert not any(task.done() for task in later), "a sync that began before is not an answer"
    go.release()
    await asyncio.gather(*later)
    assert len(began) == 2


async def test_a_failure_reaches_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def syncfs(_: int) -> None:
        raise OSError("the disk failed")

    monkeypatch.setattr(syscalls, "syncfs", syncfs)
    sync = SharedSync(tmp_path)
    outcomes = await asyncio.gather(sync(), sync(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    monkeypatch.setattr(syscalls, "syncfs", lambda _: None)
    await sync()
