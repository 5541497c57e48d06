"""The child that mounts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from scow.contract.errors import KernelUnsupported
from scow.kernel import syscalls
from scow.shim.cgroup.base import Cgroup
from scow.shim.keeper.request import Request
from scow.shim.oci import config
from scow.shim.oci.config import Mount
from scow.shim.talker import live_mounts
from scow.shim.talker.container import RUNNING, Container

ROOT = 100_000  # what the container's user 0 is on the host


@pytest.fixture
def with_users(tmp_path: Path) -> Iterator[Container]:
    """A container with a user namespace and a mount namespace of its own, that sees the host's files."""
    ready, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        os.close(begin)
        signal.pause()
    os.close(begin)
    os.read(ready, 1)
    os.close(ready)
    for name in ("uid", "gid"):
        Path(f"/proc/{pid}/{name}_map").write_text(f"0 {ROOT} 65536")
    made = object.__new__(Container)
    made.pid, made.pidfd, made.exit = pid, os.pidfd_open(pid), None
    made._executed = True
    made.request = cast("Request", SimpleNamespace(state_dir=str(tmp_path)))
    made.cgroup = cast("Cgroup", SimpleNamespace(frozen=lambda: False))
    ids = [{"containerID": 0, "hostID": ROOT, "size": 65536}]
    made.spec = config.parse(
        {
            "process": {"args": ["true"]},
            "linux": {"namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids},
        },
        str(tmp_path),
    )
    yield made
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(made.pidfd)


@pytest.mark.skipif(os.getuid() != 0, reason="namespaces are made by root")
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
async def test_owners_are_mapped_for_a_container_with_users(
    with_users: Container, tmp_path: Path, kind: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 5, 6)
    options = ("bind",) if kind == "bind" else ()
    mount = Mount(str(target), kind, str(source) if options else "tmpfs", options)
    await live_mounts.attach(with_users, mount)
    seen = Path(f"/proc/{with_users.pid}/root{target}")
    # From here, owners are as the container's users are on the host.
    assert seen.stat().st_uid == ROOT
    if kind == "bind":
        assert ((seen / "file").stat().st_uid, (seen / "file").stat().st_gid) == (
            ROOT + 5,
            ROOT + 6,
        )
    assert list(target.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="namespaces are made by root")
async def test_what_cannot_be_mapped_is_told(with_users: Container, tmp_path: Path) -> None:
    mount = Mount(str(tmp_path), "bind", "/proc", ("bind",))
    with pytest.raises(KernelUnsupported, match="mapped"):
        await live_mounts.attach(with_users, mount)


@pytest.fixture
def container() -> Container:
    return cast("Container", SimpleNamespace(pid=os.getpid(), status=RUNNING))


async def test_a_cancelled_change_leaves_no_process(container: Container) -> None:
    told, tell = os.pipe()

    def work(enter: Callable[[], None]) -> None:
        os.write(tell, os.getpid().to_bytes(4, "little"))
        os.close(tell)
        os.read(os.pipe()[0], 1)  # never ends

    changing = asyncio.ensure_future(live_mounts._in_child(container, work))
    await asyncio.sleep(0)
    child = int.from_bytes(await asyncio.to_thread(os.read, told, 4), "little")
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 - nothing is waited for
    os.close(told)
    os.close(tell)


async def test_descriptors_are_closed(container: Container) -> None:
    before = len(os.listdir("/proc/self/fd"))
    await live_mounts._in_child(container, lambda _: None)
    assert len(os.listdir("/proc/self/fd")) == before
