"""The library against a real engine: both faces, streams, cancellation, errors."""

from __future__ import annotations

import asyncio
import io

import pytest

from scow.client import AsyncClient, errors
from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine, as_root

pytestmark = as_root()


def test_run_returns_what_was_written(engine: Engine) -> None:
    with engine.client() as client:
        script = "echo out; echo err >&2; exit 3"
        result = client.containers.run("busybox", ["sh", "-c", script], auto_remove=True)
        assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
        with pytest.raises(errors.ContainerNotFound):
            client.containers.get(result.id)


def test_all_options_at_once(engine: Engine) -> None:
    with engine.client() as client:
        container = client.containers.run(
            "busybox",
            ["sleep", "60"],
            detach=True,
            name="all",
            env={"A": "1"},
            working_dir="/tmp",
            user="1000",
            hostname="box",
            labels={"l": "1"},
            mounts=["files:/data:ro"],
            tmpfs={"/scratch": "size=1m"},
            ports=["127.0.0.1::80"],
            extra_hosts={"db": "10.0.0.1"},
            memory=64 << 20,
            cpus=0.5,
            pids_limit=20,
            cap_drop=["ALL"],
            read_only=True,
            ulimits={"nofile": 64},
            init=True,
        )
        assert container.name == "all"
        assert container.ports[0].host_port > 0
        script = "echo $A $(pwd) $(id -u) $(hostname) $(ulimit -n)"
        result = client.containers.exec("all", ["sh", "-c", script])
        assert result.stdout == b"1 /tmp 1000 box 64\n"
        client.containers.remove("all", force=True)
        client.volumes.remove("files")


async def test_many_containers_at_once(engine: Engine) -> None:
    async with AsyncClient(engine.host) as client:
        results = await asyncio.gather(
            *(
                client.containers.run("busybox", ["echo", str(number)], auto_remove=True)
                for number in range(8)
            )
        )
        assert [result.stdout for result in results] == [b"%d\n" % number for number in range(8)]
        assert await client.containers.list(all=True) == []


async def test_a_cancelled_run_leaves_nothing(engine: Engine) -> None:
    async with AsyncClient(engine.host) as client:
        run = asyncio.create_task(
            client.containers.run("busybox", ["sleep", "60"], name="cut", auto_remove=True)
        )
        while not await client.containers.list():  # noqa: ASYNC110  the other side of a wire
            await asyncio.sleep(0.05)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await client.containers.list(all=True) == []


async def test_logs_follow_while_it_writes(engine: Engine) -> None:
    async with AsyncClient(engine.host) as client:
        script = "for i in 1 2 3; do echo $i; sleep 0.2; done"
        container = await client.containers.run("busybox", ["sh", "-c", script], detach=True)
        async with client.containers.logs(container.id, follow=True) as logs:
            seen = [record.stdout async for record in logs]
        assert seen == [b"1\n", b"2\n", b"3\n"]
        assert (await client.containers.wait(container.id)).exit_code == 0


async def test_watch_replays_and_follows(engine: Engine) -> None:
    async with AsyncClient(engine.host) as client:
        result = await client.containers.run("busybox", ["true"], auto_remove=True)
        actions: list[str] = []
        async with asyncio.timeout(20):
            async with client.containers.watch(1) as events:
                async for message in events:
                    if message.event.object_id == result.id:
                        actions.append(message.event.action)
                    if actions[-1:] == ["destroy"]:
                        break
        assert [a for a in actions if a in ("create", "start", "die", "destroy")] == [
            "create",
            "start",
            "die",
            "destroy",
        ]


def test_interactive_exec(engine: Engine) -> None:
    with engine.client() as client:
        client.containers.run("busybox", ["sleep", "60"], detach=True, name="busy")
        with client.containers.open_exec("busy", ["cat"], stdin=True) as session:
            session.send(b"one\n")
            assert next(session).stdout == b"one\n"
            session.send(b"two\n")
            assert next(session).stdout == b"two\n"
            session.close_stdin()
            assert list(session) == []
        assert session.exit_code == 0


@pytest.mark.parametrize(
    ("command", "error"),
    [(["no-such"], errors.CommandNotFound), (["/etc/passwd"], errors.CommandNotExecutable)],
)
def test_errors_are_classes(engine: Engine, command: list[str], error: type) -> None:
    with engine.client() as client, pytest.raises(error) as caught:
        client.containers.run("busybox", command, auto_remove=True)
    assert caught.value.which == command[0]  # type: ignore[attr-defined]


def test_images_and_volumes(engine: Engine) -> None:
    with engine.client() as client:
        image = client.images.import_tar(io.BytesIO(rootfs_tar()), "made:1", changes=["CMD true"])
        assert client.images.get("made:1").id == image.id
        assert client.containers.run("made:1", auto_remove=True).exit_code == 0
        assert image.id in client.images.remove("made:1").deleted
        with pytest.raises(errors.ImageNotFound):
            client.containers.run("made:1", pull="never")
        volume = client.volumes.create("lib", labels={"a": "1"})
        assert client.volumes.create("lib", labels={"a": "1"}) == volume
        assert [v.name for v in client.volumes.list(filters={"label": "a=1"})] == ["lib"]
        client.volumes.remove("lib")
        with pytest.raises(errors.VolumeNotFound):
            client.volumes.get("lib")


def test_a_deadline_that_passes(engine: Engine) -> None:
    with engine.client() as client:
        container = client.containers.run("busybox", ["sleep", "60"], detach=True)
        with pytest.raises(errors.DeadlineExceeded):
            client.containers.wait(container.id, timeout=0.3)
        assert client.health() == dict.fromkeys(["container", "image", "network", "volume"], True)
