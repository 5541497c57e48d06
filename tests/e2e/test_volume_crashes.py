"""Services killed at any moment while volumes are made, used, attached and removed: data whole, nothing leaked."""

from __future__ import annotations

import itertools
import random
import subprocess
import threading
import time

from tests.e2e.cli.support import mounts_of
from tests.support.engine import Engine, as_root
from tests.support.processes import wait_for

pytestmark = as_root()
# Of the two services that volumes are about, half of them.
_KILLED = ("volume", "container", "image", "volume", "container", "network")
_KILLS = 9


def use(engine: Engine, stop: threading.Event) -> None:
    """Go through the life of volumes; commands may fail, as their services are killed."""
    for number in itertools.count():
        name, box = f"v{number}", f"b{number}"
        for command in (
            ["volume", "create", "--label", "test", name],
            ["create", "--name", box, "-v", f"{name}:/x", "-v", "/y", "-v", "kept:/kept",
             "busybox", "sh", "-c", f"echo {number} >>/kept/log; exec sleep 100"],
            ["start", box],
            ["volume", "snapshot", "create", "--freeze", f"{name}@one"],
            ["volume", "clone", f"{name}@one", f"clone{number}"],
            ["volume", "snapshot", "restore", "--force", f"{name}@one"],
            ["volume", "attach", box, f"other{number}:/z"],
            ["volume", "detach", box, "/x"],
            ["rm", "-f", "-v", box],
            ["volume", "snapshot", "rm", f"{name}@one"],
            ["volume", "rm", name, f"other{number}", f"clone{number}"],
        ):  # fmt: skip
            if stop.is_set():
                return
            engine.cli(*command, check=False)


def test_kills_between_any_two_steps(own_engine: Engine) -> None:
    engine = own_engine
    engine.cli("run", "--rm", "-v", "kept:/kept", "busybox", "sh", "-c", "echo first >/kept/log")
    stop = threading.Event()
    user = threading.Thread(target=use, args=(engine, stop))
    user.start()
    moments = random.Random(7)
    for number in range(_KILLS):
        time.sleep(moments.uniform(0.05, 0.5))
        engine.kill_service(_KILLED[number % len(_KILLED)])
        engine.wait_healthy()
    stop.set()
    user.join()
    engine.remove_containers()
    with engine.client() as client:
        client.containers.reconcile()
        client.volumes.reconcile()
        assert client.volumes.reconcile() == []
        volumes = client.volumes.list()
        assert {owner for volume in volumes for owner in volume.owners} == set()
    snapshots = engine.cli("volume", "snapshot", "ls", "-q").stdout.split()
    if snapshots:
        engine.cli("volume", "snapshot", "rm", *snapshots)
    recorded = {volume.name for volume in volumes}
    folder = engine.root / "volume/volumes"
    assert {path.name for path in folder.iterdir()} == recorded
    assert all(
        [entry.name for entry in (folder / name).iterdir()] == ["_data"] for name in recorded
    )
    for passing in ("trash", "staging", "snapshots"):
        folder = engine.root / "volume" / passing
        wait_for(lambda: not any(folder.iterdir()), f"{passing} to be empty")  # noqa: B023
    assert mounts_of(engine) == []
    log = engine.cli("run", "--rm", "-v", "kept:/kept:ro", "busybox", "cat", "/kept/log").stdout
    assert log.startswith("first\n")
    engine.cli("volume", "rm", *recorded)


def test_a_shim_that_is_killed_leaves_no_mount(own_engine: Engine) -> None:
    engine = own_engine
    engine.cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "mem")
    command = ["sh", "-c", "echo 1 >/x/file; exec sleep 100"]
    engine.cli("run", "-d", "--name", "box", "-v", "mem:/x", "busybox", *command)
    subprocess.run(["kill", "-9", str(engine.shim_pid("box"))], check=True)
    engine.cli("wait", "box")
    assert engine.cli("run", "--rm", "-v", "mem:/x", "busybox", "ls", "/x").stdout == ""
    assert mounts_of(engine) == []
    engine.cli("rm", "box")
    engine.cli("volume", "rm", "mem")
