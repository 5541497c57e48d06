"""Lists, removal, history, usage, pruning and checks of images on the command line, with Docker's shapes."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from pathlib import Path

from tests.e2e.cli.support import shown
from tests.support.busybox import import_busybox, rootfs_tar
from tests.support.engine import Engine, as_root

pytestmark = as_root()


def _tar(content: bytes) -> bytes:
    stream = io.BytesIO(rootfs_tar())
    with tarfile.open(fileobj=stream, mode="a") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _import(engine: Engine, name: str, content: bytes, *arguments: str) -> str:
    return engine.cli("import", *arguments, "-", name, stdin=_tar(content)).stdout.strip()


def _cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_a_name_that_moves_leaves_a_dangling_image(engine: Engine) -> None:
    old = _import(engine, "moving", b"old", "-c", "LABEL tier=front")
    _import(engine, "moving", b"new")
    line = engine.cli("images", "-f", "dangling=true").stdout.splitlines()[1]
    assert line.startswith("<none>       <none>")
    assert engine.cli("images", "-q", "--no-trunc", "-f", "label=tier").stdout.strip() == old
    asked = engine.cli("image", "prune", stdin=b"n\n").stdout
    assert asked == (
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "
    )
    done = engine.cli("image", "prune", "-f", "--filter", "label!=tier").stdout
    assert done == "Total reclaimed space: 0B\n"
    done = engine.cli("image", "prune", stdin=b"y\n").stdout.partition("[y/N] ")[2]
    assert f"Deleted Images:\ndeleted: {old}\ndeleted: sha256:" in done
    assert re.search(r"\n\nTotal reclaimed space: [\d.]+MB\n$", done)
    engine.cli("rmi", "moving")


def test_removing_the_image_of_a_container(engine: Engine) -> None:
    image = _import(engine, "mine", b"mine")
    container = engine.cli("create", "--name", "holder", "mine", "true").stdout.strip()
    done = engine.cli("rmi", "mine", check=False)
    assert done.returncode == 1
    assert "used by container holder" in done.stderr
    assert engine.cli("rmi", "-f", "mine").stdout == "Untagged: mine:latest\n"
    assert engine.cli("start", "-a", container).returncode == 0, "its image is gone"
    engine.cli("rm", container)
    container = engine.cli("run", "-d", "--name", "user", image, "sleep", "60").stdout.strip()
    done = engine.cli("rmi", "-f", image[7:19], check=False)
    assert "container user" in done.stderr, "the image of a running container was removed"
    engine.cli("rm", "-f", container)
    assert f"Deleted: {image}\n" in engine.cli("rmi", image[7:19]).stdout


def test_columns(engine: Engine) -> None:
    _import(engine, "one", b"1")
    engine.cli("tag", "one", "two:2")
    layout = "{{.Repository}} {{.Size}} {{.SharedSize}} {{.UniqueSize}} {{.Containers}}"
    line = engine.cli("images", "--format", layout, "one").stdout.split()
    assert (line[0], line[2], line[4]) == ("one", "0B", "0")
    assert line[1] == line[3]
    assert _cells(engine.cli("images", "--digests").stdout.splitlines()[0])[2] == "DIGEST"
    both = engine.cli("images", "-q", "-f", "reference=one", "-f", "reference=two").stdout.split()
    assert both == [both[0]] * 2, "a line for each name, as in Docker"
    assert engine.cli("images", "--format", "{{.Tag}}", "two:2").stdout == "2\n"
    assert engine.cli("images", "-q", "-f", "until=24h", "-f", "reference=one").stdout == ""
    engine.cli("rmi", "one", "two:2")


def test_history_and_inspect(engine: Engine) -> None:
    image = _import(engine, "told", b"123", "-m", "by a test")
    head, line = engine.cli("history", "told").stdout.splitlines()
    assert _cells(head) == ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    assert line.startswith(image[7:19])
    assert line.endswith("by a test")
    assert engine.cli("history", "-q", "--no-trunc", "told").stdout == f"{image}\n"
    size = int(engine.cli("history", "-H=false", "--format", "{{.Size}}", "told").stdout)
    assert size > 3
    when = engine.cli("history", "--format", "{{.CreatedAt}}", "told").stdout
    assert re.fullmatch(r"[-\d]+T[:\d]+Z\n", when), when
    shape = shown(engine, "told")
    assert (shape["Size"], shape["Parent"]) == (size, "")
    descriptor = shape["Descriptor"]
    template = "{{.Descriptor.digest}}"
    assert (
        engine.cli("image", "inspect", "-f", template, "told").stdout.strip()
        == descriptor["digest"]
    )
    assert descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    engine.cli("rmi", "told")


def test_disk_usage(engine: Engine) -> None:
    before = json.loads(engine.cli("system", "df", "--format", "json").stdout.splitlines()[0])
    engine.cli("volume", "create", "counted")
    name = engine.cli("create", "-v", "counted:/data", "busybox", "true").stdout.strip()
    lines = engine.cli("system", "df").stdout.splitlines()
    assert _cells(lines[0]) == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    rows = {cells[0]: cells[1:] for cells in map(_cells, lines[1:])}
    assert rows["Build Cache"] == ["0", "0", "0B", "0B"]
    assert (rows["Containers"][:2], rows["Local Volumes"][0]) == (["1", "0"], "1")
    assert int(rows["Images"][1]) == int(before["Active"]) + 1
    long = engine.cli("system", "df", "-v").stdout
    for part in ("Images", "Containers", "Local Volumes"):
        assert f"{part} space usage:\n\n" in long
    assert re.search(r"\ncounted +1 +0B\n", long)
    told = json.loads(engine.cli("system", "df", "-v", "--format", "json").stdout)
    assert list(told) == ["BuildCache", "Containers", "Images", "Volumes"]
    assert [(each["Name"], each["Links"]) for each in told["Volumes"]] == [("counted", "1")]
    assert name in [each["ID"] for each in told["Containers"]]
    template = "{{range .Images}}{{.Repository}} {{end}}"
    assert "busybox" in engine.cli("system", "df", "-v", "--format", template).stdout.split()
    engine.cli("rm", name)
    done = engine.cli("volume", "prune", "-af").stdout
    assert done == "Deleted Volumes:\ncounted\n\nTotal reclaimed space: 0B\n"


def test_system_prune(engine: Engine) -> None:
    name = engine.cli("create", "busybox", "true").stdout.strip()
    runs = engine.cli("run", "-d", "busybox", "sleep", "60").stdout.strip()
    unused = _import(engine, "unused", b"unused")
    done = engine.cli("system", "prune", "-af").stdout
    assert f"Deleted Containers:\n{name}\n" in done
    assert {"untagged: unused:latest", f"deleted: {unused}"} <= set(done.splitlines())
    assert engine.cli("ps", "-q", "--no-trunc").stdout.strip() == runs
    assert engine.cli("images", "-q", "busybox").stdout, "the image of a container was pruned"


def test_pins(engine: Engine) -> None:
    _import(engine, "pinned", b"pinned")
    assert engine.cli("image", "pin", "pinned").stdout == "pinned\n"
    engine.cli("image", "prune", "-af", "--filter", "until=0s")
    assert shown(engine, "pinned")["Pinned"]
    engine.cli("image", "unpin", "pinned")
    assert engine.cli("image", "gc").stdout == "Total reclaimed space: 0B\n"
    engine.cli("rmi", "pinned")


def test_a_damaged_image_is_found_and_repaired() -> None:
    with Engine({"SCOW_IMAGE_SNAPSHOTTER": "overlay"}) as engine:
        import_busybox(engine)
        _damage_and_repair(engine)


def _damage_and_repair(engine: Engine) -> None:
    whole = engine.cli("system", "check").stdout
    assert re.fullmatch(
        r"Checked \d+ blobs, 1 layers and 1 images \([\d.]+MB\): all is right\n", whole
    )
    runs = engine.cli("run", "-d", "busybox", "sleep", "60").stdout.strip()
    program = next((engine.root / "image/layers").rglob("bin/busybox"))
    _damage(program)
    found = engine.cli("system", "check", check=False)
    assert found.returncode == 1
    head, line, last = found.stdout.splitlines()
    assert _cells(head)[:3] == ["KIND", "ID", "FAULT"]
    assert _cells(line)[2:6] == ["differs", "-", "no", "busybox:latest"]
    assert last.endswith("1 faults, 0 repaired, 1 left")
    done = engine.cli("image", "check", "--repair", "busybox")
    assert _cells(done.stdout.splitlines()[1])[2:5] == ["differs", "rebuilt", "yes"]
    # The container that runs keeps its root; the next one has the repaired one.
    assert engine.cli("exec", runs, "echo", "still here").stdout == "still here\n"
    assert engine.cli("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    assert list((engine.root / "image/quarantine").iterdir())
    engine.cli("rm", "-f", runs)
    engine.client().images.reconcile()
    assert not list((engine.root / "image/quarantine").iterdir())
    assert engine.cli("system", "check", "-q").stdout == ""


def _damage(program: Path) -> None:
    """Change a byte at the end of a program, where it does not matter to those who run it."""
    times = program.stat()
    data = bytearray(program.read_bytes())
    data[-1] ^= 0xFF
    with program.open("r+b") as file:
        file.seek(-1, io.SEEK_END)
        file.write(data[-1:])
    os.utime(program, ns=(times.st_atime_ns, times.st_mtime_ns))
