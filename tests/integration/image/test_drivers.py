"""The contract of drivers: every one passes the same tests, and a stack of several of them too."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zstandard

from scow.api.types.v1.types_pb2 import Mount
from scow.contract.errors import InvalidArchive, LayerCorrupt, LimitExceeded
from scow.image.content.sync import SharedSync
from scow.image.layers.drivers import Driver
from scow.image.layers.drivers.erofs import Erofs
from scow.image.layers.drivers.overlay import Overlay
from scow.image.snapshots.folders import SnapshotFolders
from scow.image.workers.pool import Limits, Unpacked, UnpackPool
from tests.support.layertars import Entry, describe, needs_erofs, reg, tar_of
from tests.support.stacks import look

pytestmark = needs_erofs
DIR, SYM, LNK, CHR = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
CAPABILITY = struct.pack("<5I", 0x02000001, 0x400, 0, 0, 0).decode("latin-1")
LIMITS = Limits(1 << 30, 2000)
T = TypeVar("T")


class Stored:
    """A file that is there (`Source`)."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    async def wait(self, position: int) -> tuple[int, bool]:
        return os.fstat(self.descriptor).st_size, True


@dataclass(frozen=True)
class Made:
    """A layer."""

    driver: Driver
    folder: Path
    blob: Path
    unpacked: Unpacked

    def damage(self, *, thorough: bool = True) -> str:
        return self.driver.damage(self.folder, self.unpacked.tar_size, thorough=thorough)


class Bench:
    """Layers of drivers that take turns, and snapshots on them."""

    def __init__(self, base: Path, loop: asyncio.AbstractEventLoop, drivers: list[Driver]) -> None:
        self.base = base
        self.drivers = drivers
        self.snapshots = SnapshotFolders(base)
        (base / "layers").mkdir()
        self._loop = loop
        self._count = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def make(self, data: bytes) -> Made:
        """Make a layer of a blob."""
        driver = self.drivers[self._count % len(self.drivers)]
        self._count += 1
        folder = self.base / "layers" / str(self._count)
        folder.mkdir(mode=0o700)
        blob = self.base / f"blob{self._count}"
        blob.write_bytes(data)
        source = Stored(blob)
        try:
            unpacked = self.run(driver.unpack(source, folder))
        finally:
            os.close(source.descriptor)
        driver.finish(folder, blob)
        return Made(driver, folder, blob, unpacked)

    def mounts(self, *layers: Made) -> list[Mount]:
        """Make a snapshot on layers and describe its mounts."""
        lowers = [layer.driver.lower(layer.folder) for layer in layers]
        self.snapshots.make(7, lowers)
        return self.snapshots.mounts(7, lowers)

    def stack(self, *layers: list[Entry]) -> list[Mount]:
        """Make layers and a snapshot on them."""
        return self.mounts(*(self.make(tar_of(*entries)) for entries in layers))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def pool(loop: asyncio.AbstractEventLoop) -> Iterator[UnpackPool]:
    made = UnpackPool(1, 60, LIMITS)
    yield made
    loop.run_until_complete(made.close())


MakeBench = Callable[[Path, list[str]], Bench]


@pytest.fixture
def make_bench(loop: asyncio.AbstractEventLoop, pool: UnpackPool) -> MakeBench:
    """Make what the drivers of some names share."""

    def make(base: Path, kinds: list[str]) -> Bench:
        known: dict[str, Driver] = {
            "overlay": Overlay(pool, SharedSync(base)),
            "erofs": Erofs(pool),
        }
        return Bench(base, loop, [known[kind] for kind in kinds])

    return make


@pytest.fixture(
    params=[["overlay"], ["erofs"], ["overlay", "erofs"]], ids=["overlay", "erofs", "mixed"]
)
def bench(request: pytest.FixtureRequest, make_bench: MakeBench, tmp_path: Path) -> Bench:
    return make_bench(tmp_path, request.param)


@pytest.fixture
def erofs(make_bench: MakeBench, tmp_path: Path) -> Bench:
    return make_bench(tmp_path, ["erofs"])


def names(folder: str) -> Callable[[int], list[str]]:
    """Return what lists a folder."""

    def act(root: int) -> list[str]:
        return sorted(os.listdir(os.open(folder, os.O_RDONLY, dir_fd=root)))

    return act


def read(root: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=root), "rb") as file:
        return file.read()


def test_what_is_removed_stays_hidden(bench: Bench) -> None:
    mounts = bench.stack(
        [reg("a"), reg("d/lower"), reg("d/both"), reg("kept/x"), ("o", DIR, {}), reg("o/lower")],
        [reg(".wh.a", b""), reg("d/.wh.lower", b""), reg("d/new"), reg("o/.wh..wh..opq", b"")],
        [reg("o/upper"), reg("kept/y"), ("e", DIR, {}), reg(".wh.e", b"")],
    )
    assert look(mounts, names(".")) == [".dockerenv", "d", "e", "kept", "o"]
    assert look(mounts, names("d")) == ["both", "new"]
    assert look(mounts, names("kept")) == ["x", "y"]
    assert look(mounts, names("o")) == ["upper"]


def test_what_comes_back_is_the_new_one(bench: Bench) -> None:
    mounts = bench.stack(
        [reg("d/old"), reg("f", b"old"), reg("g", b"g")],
        [reg(".wh.d", b""), ("d", DIR, {"mode": 0o711}), reg("d/new"), reg(".wh.f", b"")],
        [reg("f", b"new"), ("g", DIR, {}), reg("g/in")],
    )
    assert look(mounts, names("d")) == ["new"]
    assert look(mounts, names("g")) == ["in"]
    assert look(mounts, lambda root: read(root, "f")) == b"new"
    assert look(mounts, lambda root: os.stat("d", dir_fd=root).st_mode & 0o7777) == 0o711


NASTY: list[list[Entry]] = [
    [
        ("./", DIR, {"mode": 0o751, "mtime": 3, "uid": 7}),
        ("bin", SYM, {"linkname": "usr/bin"}),
        ("usr/bin", DIR, {"mode": 0o755, "mtime": 4}),
        reg("usr/bin/su", b"su", mode=0o4755, mtime=5),
        reg(
            "usr/bin/ping", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": CAPABILITY}
        ),
        ("usr/bin/ping6", LNK, {"linkname": "usr/bin/ping"}),
        ("usr", DIR, {"mtime": 1}),
        ("dev", DIR, {"mtime": 1}),
        ("dev/null", CHR, {"devmajor": 1, "devminor": 3, "mode": 0o666}),
        ("tmp", DIR, {"mode": 0o1777, "mtime": 1}),
        *[reg(f"tmp/{number}", b"%d" % number, mtime=number) for number in range(300)],
    ],
    [
        reg("bin/tool", pax_headers={"SCHILY.xattr.user.scow": "yes"}, mtime=6),
        ("tmp", DIR, {"mode": 0o1777, "mtime": 8}),
        *[reg(f"tmp/.wh.{number}", b"") for number in range(0, 300, 2)],
    ],
    [reg("late")],
]


def test_the_whole_tree_is_that_of_the_unpacked_layers(
    bench: Bench, make_bench: MakeBench, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    plain = look(make_bench(tmp_path / "other", ["overlay"]).stack(*NASTY), describe)
    found = look(bench.stack(*NASTY), describe)
    assert found.keys() == plain.keys()
    for path, facts in plain.items():
        if path not in (".", "./bin", "./usr/bin"):  # which the last layers have no times for
            assert found[path] == facts, path
    assert len(found) > 150


def test_containers_write_above(bench: Bench) -> None:
    def act(root: int) -> list[object]:
        os.write(os.open("f", os.O_WRONLY | os.O_APPEND, dir_fd=root), b"more")
        os.unlink("g", dir_fd=root)
        os.chown("s", 5, 6, dir_fd=root, follow_symlinks=False)
        os.setxattr(f"/proc/self/fd/{root}/f", "user.x", b"1")
        os.link("f", "l", src_dir_fd=root, dst_dir_fd=root)
        os.mkdir("d/sub", dir_fd=root)
        return [read(root, "l"), sorted(os.listdir(root))]

    mounts = bench.stack([reg("f", b"some"), reg("g"), ("s", SYM, {"linkname": "x"}), reg("d/x")])
    assert look(mounts, act) == [b"somemore", [".dockerenv", "d", "f", "l", "s"]]
    assert look(mounts, lambda root: read(root, "f")) == b"somemore"
    assert look(mounts, names("d")) == ["sub", "x"]


def test_the_root_looks_like_the_topmost_layers(bench: Bench) -> None:
    mounts = bench.stack([reg("a")], [("./", DIR, {"mode": 0o701, "uid": 5, "gid": 6}), reg("b")])
    status = look(mounts, lambda root: os.fstat(root))
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o701, 5, 6)


def test_a_large_file(bench: Bench) -> None:
    data = os.urandom(5_000_000)
    mounts = bench.stack([reg("a", b"1"), reg("large", data), reg("z", b"2")])
    assert look(mounts, lambda root: read(root, "large")) == data


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.compress, lzma.compress, bz2.compress],
    ids=["gzip", "zstd", "xz", "bzip2"],
)
def test_compressed(bench: Bench, pack: Callable[[bytes], bytes]) -> None:
    layers = [bench.make(pack(tar_of(reg(name, b"text")))) for name in ("a", "b")]
    assert (
        look(bench.mounts(*layers), lambda root: read(root, "a") + read(root, "b")) == b"texttext"
    )


def test_lower_gives_the_same_again(bench: Bench) -> None:
    made = bench.make(tar_of(reg("a")))
    assert made.driver.lower(made.folder) == made.driver.lower(made.folder)


def test_sync(bench: Bench) -> None:
    made = bench.make(tar_of(reg("a")))
    bench.run(made.driver.sync(made.folder))


def test_refused_alike(bench: Bench) -> None:
    for data, error in (
        (tar_of(reg("../a")), InvalidArchive),
        (tar_of(reg("a"))[:700], LayerCorrupt),
        (gzip.compress(tar_of(reg("a")))[:-20], LayerCorrupt),
        (tar_of(*[reg(f"{number}", b"") for number in range(2001)]), LimitExceeded),
    ):
        for _ in bench.drivers:
            with pytest.raises(error):
                bench.make(data)


def test_a_layer_that_is_gone(bench: Bench) -> None:
    for number, _ in enumerate(bench.drivers):
        made = bench.make(tar_of(reg("a")))
        assert made.damage() == ""
        made.folder.rename(bench.base / f"gone{number}")
        assert made.damage(thorough=False)
        with pytest.raises(LayerCorrupt):
            made.driver.lower(made.folder)


def test_a_plain_tar_is_kept_once(erofs: Bench) -> None:
    made = erofs.make(tar_of(reg("a")))
    assert (made.folder / "layer.tar").samefile(made.blob)


def test_a_compressed_tar_is_kept_plain(erofs: Bench) -> None:
    data = tar_of(reg("a"))
    made = erofs.make(gzip.compress(data))
    assert (made.folder / "layer.tar").read_bytes() == data


@pytest.mark.parametrize("offset", [1024, 1152, 1300, -1])
def test_a_changed_index(erofs: Bench, offset: int) -> None:
    made = erofs.make(tar_of(reg("a")))
    index = bytearray((made.folder / "layer.erofs").read_bytes())
    index[offset] ^= 0x10
    (made.folder / "layer.erofs").write_bytes(index)
    assert made.damage()


def test_a_cut_index_or_tar(erofs: Bench) -> None:
    made = erofs.make(gzip.compress(tar_of(reg("a"))))
    for name in ("layer.tar", "layer.erofs"):
        os.truncate(made.folder / name, 600)
        assert name in made.damage(thorough=False)


def test_what_a_layer_is_made_anew_of(erofs: Bench) -> None:
    made = erofs.make(gzip.compress(tar_of(reg("a"))))
    (made.folder / "layer.erofs").unlink()
    assert made.driver.source(made.folder) == made.folder / "layer.tar"
    (made.folder / "layer.tar").unlink()
    assert made.driver.source(made.folder) is None
