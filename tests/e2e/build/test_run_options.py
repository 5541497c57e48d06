"""What RUN gets: limits of processors, a place for its cgroup, devices of the host."""

from __future__ import annotations

import glob
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.client import Client
from scow.contract import errors
from tests.support import processes
from tests.support.building import build, files
from tests.support.busybox import import_busybox
from tests.support.engine import Engine

_QUOTA = (
    "cat /sys/fs/cgroup/cpu.max 2>/dev/null"
    " || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us"
)
_CDI = """
cdiVersion: "0.6.0"
kind: acme.com/box
containerEdits:
  env: ["SHARED=1"]
devices:
  - name: one
    containerEdits: {env: ["ONE=1"]}
  - name: two
    containerEdits: {deviceNodes: [{path: /dev/two, hostPath: /dev/null}]}
"""


@pytest.fixture(scope="module")
def lenient() -> Iterator[Client]:
    """An engine that lets builds have devices."""
    with Engine(settings={"SCOW_BUILD_ALLOW": "device"}) as engine:
        import_busybox(engine)
        engine.cdi.mkdir()
        (engine.cdi / "acme.yaml").write_text(_CDI)
        with Client(engine.host) as client:
            yield client


def test_a_quota_of_processors(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, Dockerfile=f"FROM busybox\nRUN {_QUOTA}\n")
    told = build(
        client, tmp_path, f"FROM busybox\nRUN {_QUOTA}\n", cpu_quota=30_000, cpu_period=50_000
    )
    assert told.output.split() == [b"30000", b"50000"]
    flags = ("--no-cache", "--progress=plain", "--cpu-period=40000", "--cpu-quota=20000")
    shown = engine.cli("build", *flags, "--cpuset-mems=0", str(tmp_path)).stderr
    assert "20000" in shown
    assert "40000" in shown


def test_a_place_for_the_cgroup(client: Client, tmp_path: Path) -> None:
    context = files(tmp_path, file="x")
    parent = f"scow-test-{tmp_path.name.replace('_', '-')}"

    def run() -> None:
        with pytest.raises(errors.Cancelled):
            build(client, context, "FROM busybox\nRUN sleep 1000\n", cgroup_parent=f"/{parent}")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        processes.wait_for(
            lambda: (
                glob.glob(f"/sys/fs/cgroup/{parent}/*/")
                or glob.glob(f"/sys/fs/cgroup/*/{parent}/*/")
            ),
            "the cgroup of the step",
        )
    finally:
        (running,) = client.builds.list(filters={"status": ["running"]})
        client.builds.stop(running.id)
        thread.join()
    with pytest.raises(errors.InvalidConfig):
        build(client, context, "FROM busybox\nRUN true\n", cgroup_parent="../..", no_cache=True)


def test_devices(lenient: Client, tmp_path: Path) -> None:
    context = files(tmp_path, file="x")
    allowed: dict[str, Any] = {"entitlements": ["device"], "no_cache": True}
    one = "FROM busybox\nRUN --device=acme.com/box=one echo $SHARED$ONE; ls /dev\n"
    output = build(lenient, context, one, **allowed).output
    assert output.startswith(b"11\n")
    assert b"two" not in output
    for name in ("acme.com/box=two,required", "acme.com/box=*,required=true"):
        text = f"FROM busybox\nRUN --device={name} test -c /dev/two\n"
        build(lenient, context, text, **allowed)
    first = "FROM busybox\nRUN --device=acme.com/box --device=acme.com/none echo =$ONE=\n"
    assert build(lenient, context, first, **allowed).output == b"=1=\n"
    # What the build does not ask for is left out, or is an error where it is required.
    assert build(lenient, context, one, no_cache=True).output.startswith(b"\n")


@pytest.mark.parametrize(
    ("device", "kind", "says"),
    [
        ("acme.com/box=three,required", errors.NotFound, "unresolvable CDI devices"),
        ("acme.com/none=*,required", errors.NotFound, "unresolvable CDI devices"),
        ("rubbish,required", errors.InvalidConfig, "rubbish"),
        ("acme.com/box=one,maybe", errors.InvalidArgument, "unexpected 'maybe'"),
        (",required", errors.InvalidArgument, "a name is missing"),
    ],
)
def test_devices_that_cannot_be_had(
    lenient: Client, tmp_path: Path, device: str, kind: type[errors.ScowError], says: str
) -> None:
    context = files(tmp_path, file="x")
    with pytest.raises(kind, match=says) as caught:
        build(
            lenient, context, f"FROM busybox\nRUN --device={device} true\n", entitlements=["device"]
        )
    assert caught.value.metadata["line"] == "2"


def test_devices_that_are_not_allowed(client: Client, lenient: Client, tmp_path: Path) -> None:
    context = files(tmp_path, file="x")
    text = "FROM busybox\nRUN --device=acme.com/box=one,required true\n"
    for host, entitlements in ((lenient, []), (client, ["device"])):
        with pytest.raises(errors.PermissionDenied, match="not allowed"):
            build(host, context, text, entitlements=entitlements)
