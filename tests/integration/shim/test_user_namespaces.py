"""User and time namespaces of a bundle, on whatever kernel and cgroup version this is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from scow.contract.errors import ScowError
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import reason

FIRST = 1_200_000_000


def mapped(*args: str, size: int = 65536) -> dict[str, Any]:
    made = config(args=list(args))
    made["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": FIRST, "size": size}]
    made["linux"]["uidMappings"] = made["linux"]["gidMappings"] = maps
    return made


def test_files_and_processes(box: MakeBox, tmp_path: Path) -> None:
    source = tmp_path / "given"
    source.mkdir()
    os.chown(source, 5, 6)
    script = (
        "id -u; cat /proc/self/uid_map; stat -c %u:%g /bin/busybox /there /dev/null;"
        " touch /new /there/new && chown 7:8 /new && stat -c %u:%g /new; echo again > /dev/stdout; sleep 1000"
    )
    made = mapped("sh", "-c", script)
    bind = {"destination": "/there", "type": "bind", "source": str(source), "options": ["rbind"]}
    made["mounts"].append(bind)
    container = box(made).start()
    out = container.output("cat", "/proc/self/uid_map").split()
    assert out == ["0", str(FIRST), "65536"]
    assert container.output("stat", "-c", "%u:%g", "/bin/busybox", "/there", "/new").split() == (
        ["0:0", "5:6", "7:8"]
    )
    new = (container.bundle / "upper/new").stat()
    assert (new.st_uid, new.st_gid) == (7, 8)
    assert (source / "new").stat().st_uid == 0
    script = "id -u; touch /tmp/exec && stat -c %u /tmp/exec; grep CapEff /proc/self/status"
    assert container.output("sh", "-c", script, user="app").split()[:2] == ["1000", "1000"]
    shown = container.output("sh", "-c", "umount /proc/keys; mount -t tmpfs x /tmp; echo $?")
    assert shown.split()[-1] == "1"


def test_ids_that_cannot_be_mapped(box: MakeBox) -> None:
    made = mapped("true")
    made["linux"]["uidMappings"] = [{"containerID": 1, "hostID": FIRST, "size": 5}]
    with pytest.raises(ScowError) as raised:
        box(made).run()
    assert reason(raised.value) == "INVALID_CONFIG"


def test_clocks(box: MakeBox) -> None:
    made = config(args=["cat", "/proc/uptime"])
    made["linux"]["namespaces"].append({"type": "time"})
    made["linux"]["timeOffsets"] = {"boottime": {"secs": 864000, "nanosecs": 5}}
    host = float(Path("/proc/uptime").read_text().split()[0])
    assert float(box(made).run().text.split()[0]) >= host + 864000
    made["linux"]["timeOffsets"] = {"realtime": {"secs": 1}}
    with pytest.raises(ScowError) as raised:
        box(made).run()
    assert reason(raised.value) == "INVALID_CONFIG"
