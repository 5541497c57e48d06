"""What the build service takes at most of memory, whatever it builds."""

from __future__ import annotations

import os
import re
from pathlib import Path

from scow.client import Client
from tests.support.building import build, files
from tests.support.engine import Engine

PEAK_MAX = 150 << 20


def peak(pid: int) -> int:
    """Return the most bytes that a process had in memory (proc(5), VmHWM)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def test_the_peak(own_engine: Engine, tmp_path: Path) -> None:
    context = files(tmp_path / "context", large=os.urandom(1 << 20) * 100)
    for number in range(5000):
        path = context / f"many/{number // 200}/{number % 200}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d\n" % number)
    loud = "RUN head -c 5000000 /dev/zero | tr '\\0' '\\n'\n"
    stages = "".join(f"FROM busybox AS s{n}\nRUN echo {n} > /of-{n}\n{loud}" for n in range(6))
    text = stages + "FROM busybox\nCOPY . /all\n"
    text += "".join(f"COPY --from=s{n} /of-{n} /\n" for n in range(6))
    text += "COPY --from=s0 / /root\nRUN --mount=type=bind,target=/c cat /c/large > /copied\n"
    with Client(own_engine.host) as client:
        for _ in range(2):
            build(client, context, text, tags=["large"], provenance="max", sbom=True)
            (context / "many/0/0").write_text("changed")
        pid = own_engine.service_pid("build")
        assert peak(pid) < PEAK_MAX
