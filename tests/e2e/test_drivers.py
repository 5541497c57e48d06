"""Engines with each driver of layers: containers on real images, many layers, and one page cache."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.busybox import import_busybox, rootfs_tar
from tests.support.engine import Engine
from tests.support.layertars import needs_erofs
from tests.support.pagecache import resident
from tests.support.registry import Registry

SIZE = 16 << 20
_LAYERS = 40


@pytest.fixture(scope="module", params=["overlay", pytest.param("erofs", marks=needs_erofs)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Engine({"SCOW_IMAGE_SNAPSHOTTER": request.param}) as running:
        import_busybox(running)
        yield running
        running.remove_containers()


def run(engine: Engine, image: str, *command: str) -> str:
    return engine.cli("run", "--rm", image, *command, seconds=120).stdout


def test_real_layers(engine: Engine) -> None:
    with Registry() as registry:
        image = images.push(images.nginx(), registry, "nginx")
        engine.cli("pull", "-q", image, seconds=120)
    script = """
        ls /opt/opaque; ls -d /var/lib/apt /etc/issue.net; stat -c %a /usr/local/bin/setuid-cat
        getfattr -n user.scow --only-values /etc/with-xattr; echo
        test /opt/one -ef /opt/two && echo linked; stat -c %h /opt/one
        echo more >> /opt/one; cat /opt/one; rm -r /opt/opaque; ls /opt
    """
    found = engine.cli(
        "run", "--rm", "--entrypoint", "sh", image, "-c", script, seconds=120, check=False
    ).stdout
    assert found.split("\n") == [
        "shown",
        "4755",
        "yes",
        "linked",
        "2",
        "linked",
        "more",
        "one",
        "two",
        "",
    ]


def test_many_layers(engine: Engine) -> None:
    """Every layer hides a file of the one below and changes another."""
    layers = [rootfs_tar()]
    for number in range(_LAYERS):
        files = {f"f{number}": b"%d" % number, "last": b"%d" % number}
        if number:
            files[f".wh.f{number - 1}"] = b""
        layers.append(layer_tar(files))
    with BadRegistry(layers) as registry:
        engine.cli("pull", "-q", registry.reference, seconds=120)
        found = run(engine, registry.reference, "/bin/sh", "-c", "ls -d /f*; cat /last")
    assert found.split("\n") == [f"/f{_LAYERS - 1}", f"{_LAYERS - 1}"]


def test_containers_of_an_image_share_the_page_cache(engine: Engine) -> None:
    with BadRegistry([rootfs_tar(), layer_tar({"large": os.urandom(SIZE)})]) as registry:
        image = registry.reference
        engine.cli("pull", "-q", image)
    names = [engine.cli("run", "-d", image, "/bin/sleep", "100").stdout.strip() for _ in "12"]
    pids = [engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout.strip() for name in names]
    seen = [Path(f"/proc/{pid}/root/large") for pid in pids]
    engine.cli("exec", names[0], "/bin/sh", "-c", "cat /large > /dev/null")
    assert [resident(path) for path in seen] == [SIZE, SIZE]
    engine.cli("rm", "-f", *names)


def test_another_spawner(engine: Engine) -> None:
    """Containers go on without the spawner that mounted their layers; the next one has another."""
    engine.cli("run", "-d", "--name", "old", "busybox", "sleep", "100")
    os.kill(engine.spawner_pid(), 9)
    assert run(engine, "busybox", "echo", "new") == "new\n"
    assert engine.cli("exec", "old", "cat", "/etc/passwd").stdout
    engine.cli("rm", "-f", "old")


def held(engine: Engine) -> int:
    """Count the layers that the spawner holds after it has started a container of busybox."""
    run(engine, "busybox", "true")
    entries = Path(f"/proc/{engine.spawner_pid()}/fd").iterdir()
    return [os.readlink(entry) for entry in entries].count("/")


def test_a_removed_image_gives_its_space_back(engine: Engine) -> None:
    before = held(engine)
    other = io.BytesIO(rootfs_tar())
    with tarfile.open(fileobj=other, mode="a") as tar:  # a layer that no other image has
        tar.addfile(tarfile.TarInfo("of-this-image-alone"))
    engine.cli("import", "-", "gone", stdin=gzip.compress(other.getvalue()))
    run(engine, "gone", "/bin/true")
    engine.cli("rmi", "gone")
    assert held(engine) == before


@needs_erofs
def test_containers_of_a_layer_that_has_another_form_now() -> None:
    """As after a start with a kernel that lacks EROFS: the layers are made anew as trees."""
    with Engine({"SCOW_IMAGE_SNAPSHOTTER": "erofs"}) as own:
        import_busybox(own)
        own.cli("run", "--name", "started", "busybox", "sh", "-c", "cat /kept; echo 1 > /kept")
        own.cli("create", "--name", "exported", "busybox", "true")
        own.stop()
        with contextlib.closing(sqlite3.connect(own.root / "image/image.db")) as db:
            db.execute("UPDATE layers SET driver = 'overlay'")
            db.commit()
        for folder in (own.root / "image/layers").iterdir():
            shutil.rmtree(folder)
        own.start()
        assert own.cli("start", "-a", "started").stdout == "1\n"
        tar = own.base / "out.tar"
        own.cli("export", "-o", str(tar), "exported")
        with tarfile.open(tar) as archive:
            assert archive.getmember("bin/busybox").size > 100_000
        own.remove_containers()


def _content() -> bytes:
    """Return busybox with a directory of everything that a file can be."""
    stream = io.BytesIO(rootfs_tar())
    with tarfile.open(fileobj=stream, mode="a", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, kind: bytes, mode: int = 0o644, **fields: object) -> None:
            entry = tarfile.TarInfo(f"data{name}")
            entry.type, entry.mode, entry.mtime = kind, mode, 1_000_000_000
            for field, value in fields.items():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))

        add("", tarfile.DIRTYPE, 0o1770, uid=7, gid=8)
        add("/deep", tarfile.DIRTYPE, 0o700, uid=1000)
        add("/deep/file", tarfile.REGTYPE, 0o4751, size=5000, uid=1, gid=2)
        add("/hard", tarfile.LNKTYPE, linkname="data/deep/file")
        add("/soft", tarfile.SYMTYPE, 0o777, linkname="/etc/passwd", uid=3)
        add("/fifo", tarfile.FIFOTYPE, 0o666)
        add("/null", tarfile.CHRTYPE, 0o666, devmajor=1, devminor=3)
        add("/xattr", tarfile.REGTYPE, pax_headers={"SCHILY.xattr.user.scow": "yes"})
    return stream.getvalue()


def test_a_volume_gets_all_that_the_image_has(engine: Engine) -> None:
    engine.cli("import", "-", "content", stdin=_content())
    engine.cli("run", "--name", "changed", "content", "sh", "-c", "echo more > /data/later")
    engine.cli("commit", "changed", "content")
    script = "cd /data; find . | sort | while read f; do stat -c '%n %A %u %g %h %s %t %T' $f; done"
    wanted = run(engine, "content", "sh", "-c", f"{script}; find . -mindepth 1 -mtime +1 | sort")
    assert wanted.count("\n") == 16
    found = engine.cli(
        *("run", "--rm", "-v", "filled:/data", "content"),
        *("sh", "-c", f"{script}; find . -mindepth 1 -mtime +1 | sort"),
    ).stdout
    assert _without_sizes(found) == _without_sizes(wanted)
    folder = Path(engine.cli("volume", "inspect", "-f", "{{.Mountpoint}}", "filled").stdout.strip())
    assert os.getxattr(folder / "xattr", "user.scow") == b"yes"
    assert (folder / "hard").samefile(folder / "deep/file")
    engine.cli("rm", "changed")


def _without_sizes(listing: str) -> list[list[str]]:
    """Leave out what a file system says of directories in its own way: links and size."""
    rows = [line.split() for line in listing.splitlines()]
    return [row[:4] if len(row) > 1 and row[1].startswith("d") else row for row in rows]
