"""OCI hooks of a bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scow.contract.errors import ScowError
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import Spawner
from tests.support.processes import children, name, wait_for

# Writes down its state and its namespaces, and what it sees of the root file system.
_SCRIPT = """#!/bin/sh
cat > {0}/$1.state
{{ readlink /proc/self/ns/mnt /proc/self/ns/net; echo "$GIVEN"; ls {1}/rootfs/bin/busybox; }} > {0}/$1.seen 2>/dev/null
exit 0
"""


@pytest.mark.parametrize("by", ["a new shim", "a shim that waited"])
def test_where_they_are_and_what_they_are_told(
    own_spawner: Spawner, tmp_path: Path, by: str
) -> None:
    if by == "a shim that waited":
        first = own_spawner.box(config(args=["true"]))
        first.run()
        first.end()
        wait_for(lambda: _waits(own_spawner), "a shim that waits")
    made = config(args=["sh", "-c", "readlink /proc/self/ns/mnt; readlink /proc/self/ns/net"])
    program = tmp_path / "hook"
    made["hooks"] = {
        moment: [{"path": str(program), "args": ["hook", moment], "env": ["GIVEN=x"]}]
        for moment in ("prestart", "createRuntime", "createContainer")
    }
    container = own_spawner.box(made)
    program.write_text(_SCRIPT.format(tmp_path, container.bundle))
    program.chmod(0o755)
    own = container.run().text.split()
    for moment in ("prestart", "createRuntime", "createContainer"):
        state = json.loads((tmp_path / f"{moment}.state").read_text())
        assert (state["bundle"], state["status"]) == (str(container.bundle), "creating")
        assert state["pid"] > 1
        mount, network, given, *root = (tmp_path / f"{moment}.seen").read_text().split()
        assert given == "x"
        inside = moment == "createContainer"
        assert ([mount, network] == own) is inside
        assert (root == [f"{container.bundle}/rootfs/bin/busybox"]) is inside
        if not inside:
            assert network == os.readlink("/proc/self/ns/net")
    container.end()


def _waits(spawner: Spawner) -> bool:
    found = children(spawner.process.pid)
    return any(name(pid) == "scow-waiting" and children(pid) for pid in found)


@pytest.mark.parametrize("moment", ["createRuntime", "createContainer"])
@pytest.mark.parametrize(
    ("path", "args", "why"),
    [
        ("/bin/sh", ["sh", "-c", "echo it is broken >&2; exit 3"], "ended with 3: it is broken"),
        ("/no/such/hook", [], "No such file"),
        ("/bin/sleep", ["sleep", "100"], "took longer than 1 seconds"),
    ],
)
def test_one_that_fails(box: MakeBox, moment: str, path: str, args: list[str], why: str) -> None:
    made = config(args=["true"])
    made["hooks"] = {moment: [{"path": path, "args": args, "timeout": 1}]}
    with pytest.raises(ScowError, match=why):
        box(made).run()
