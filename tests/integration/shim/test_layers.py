"""Containers on layers that are file systems: an EROFS index beside a tar, mounted by the spawner."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from scow.contract.errors import LayerCorrupt, ScowError
from scow.shim.oci import config as oci
from scow.shim.spawner.layers import Layers
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import Box, Spawner
from tests.support.busybox import rootfs_tar
from tests.support.layertars import index, needs_erofs, reg, tar_of
from tests.support.pagecache import resident

pytestmark = needs_erofs
DIR = tarfile.DIRTYPE
SIZE = 8 << 20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of layers, the lowest first."""
    base = tmp_path_factory.mktemp("stack")
    tars = [
        rootfs_tar(),
        tar_of(("d", DIR, {}), reg("d/lower"), reg("gone"), ("w", DIR, {}), reg("w/a"), reg("w/b")),
        tar_of(
            reg(".wh.gone", b""), reg("d/.wh..wh..opq", b""), reg("d/upper"), reg("w/.wh.a", b"")
        ),
    ]
    for number, data in enumerate(tars):
        index(data, base / str(number))
    return [base / str(number) for number in range(len(tars))]


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A layer with a large file, whose index and tar nobody else has."""
    index(tar_of(reg("large", os.urandom(SIZE))), tmp_path / "layer")
    return tmp_path / "layer"


def stacked(container: Box, layers: list[Path]) -> Box:
    """Put a container on layers."""
    path = container.bundle / "rootfs.json"
    [overlay] = json.loads(path.read_text())
    mounts = [
        {
            "type": "erofs",
            "source": f"{layer}/layer.erofs",
            "options": [f"device={layer}/layer.tar"],
        }
        for layer in layers
    ]
    lower = ":".join(f"{layer}/layer.erofs" for layer in reversed(layers))
    overlay["options"][0] = f"lowerdir={lower}"
    overlay["options"].append("userxattr")
    path.write_text(json.dumps([*mounts, overlay]))
    return container


def mounts_held(spawner: Spawner) -> int:
    """Count what a spawner has mounted."""
    folder = Path(f"/proc/{spawner.process.pid}/fd")
    return sum(os.readlink(entry) == "/" for entry in folder.iterdir())


def test_a_stack(box: MakeBox, stack: list[Path]) -> None:
    script = (
        "ls -d /d/* /w/* /gone; echo new > /d/new; cat /d/upper; grep -c erofs /proc/self/mountinfo"
    )
    result = stacked(box(config(args=["sh", "-c", script])), stack).run()
    assert result.text.split("\n") == ["/d/upper", "/w/b", "data0"]
    assert b"/gone" in result.err


def test_nothing_is_mounted_where_anybody_sees_it(box: MakeBox, stack: list[Path]) -> None:
    container = stacked(box(config(args=["sleep", "100"])), stack).spawn()
    container.start()
    shim = int(json.loads((container.state / "state.json").read_text())["shim_pid"])
    for pid in ("self", container.spawner.process.pid, shim):
        text = Path(f"/proc/{pid}/mountinfo").read_text()
        assert str(container.spawner.home) not in text
        assert str(stack[0].parent) not in text


def test_the_process_has_no_descriptor_of_a_layer(box: MakeBox, stack: list[Path]) -> None:
    result = stacked(
        box(config(args=["sh", "-c", "ls -l /proc/self/fd | grep -c -e '-> /$'"])), stack
    ).run()
    assert result.text == "0"


def test_the_shim_has_no_descriptor_of_a_layer(box: MakeBox, stack: list[Path]) -> None:
    container = stacked(box(config(args=["sleep", "100"])), stack).spawn()
    shim = json.loads((container.state / "state.json").read_text())["shim_pid"]
    assert all(os.readlink(entry) != "/" for entry in Path(f"/proc/{shim}/fd").iterdir())


def test_containers_share_the_page_cache(
    own_spawner: Spawner, layer: Path, stack: list[Path]
) -> None:
    one, two = (
        stacked(own_spawner.box(config(args=["sleep", "100"])), [stack[0], layer]) for _ in "12"
    )
    try:
        pids = []
        for each in (one, two):
            each.spawn()
            each.start()
            pids.append(json.loads((each.state / "state.json").read_text())["pid"])
        seen = [Path(f"/proc/{pid}/root/large") for pid in pids]
        assert [resident(path) for path in seen] == [0, 0]
        assert len(one.execute("cat", "/large").finish().out) == SIZE
        assert [resident(path) for path in seen] == [SIZE, SIZE]
    finally:
        one.end()
        two.end()


def test_a_deleted_layer_is_let_go(own_spawner: Spawner, layer: Path, stack: list[Path]) -> None:
    container = stacked(own_spawner.box(config(args=["sleep", "100"])), [stack[0], layer])
    other = stacked(own_spawner.box(), stack)
    try:
        container.spawn()
        container.start()
        assert mounts_held(own_spawner) == 2
        for path in layer.iterdir():
            path.unlink()
        other.run()
        assert mounts_held(own_spawner) == 3
        assert len(container.execute("cat", "/large").finish().out) == SIZE
    finally:
        container.end()
        other.end()


def test_nobody_asks_for_a_while(layer: Path) -> None:
    """What the spawner does when it has waited for requests."""
    held = Layers()
    entry = oci.Mount("/", "erofs", f"{layer}/layer.erofs", (f"device={layer}/layer.tar",))
    [descriptor] = held.hold([entry]).values()
    held.drop_gone()
    assert len(held) == 1
    (layer / "layer.erofs").unlink()
    held.drop_gone()
    assert len(held) == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_layer_that_was_written_anew(
    own_spawner: Spawner, layer: Path, stack: list[Path]
) -> None:
    first = stacked(own_spawner.box(config(args=["cat", "/new"])), [stack[0], layer])
    second = stacked(own_spawner.box(config(args=["cat", "/new"])), [stack[0], layer])
    try:
        assert first.run().code == 1
        index(tar_of(reg("new", b"new")), layer.parent / "new")
        for name in ("layer.tar", "layer.erofs"):
            (layer.parent / "new" / name).rename(layer / name)
        assert second.run().text == "new"
        assert mounts_held(own_spawner) == 2
    finally:
        first.end()
        second.end()


def test_another_spawner(own_spawner: Spawner, layer: Path, stack: list[Path]) -> None:
    container = stacked(own_spawner.box(config(args=["sleep", "100"])), [stack[0], layer])
    other = stacked(own_spawner.box(config(args=["cat", "/large"])), [stack[0], layer])
    try:
        container.spawn()
        container.start()
        own_spawner.process.kill()
        own_spawner.process.wait()
        own_spawner.start()
        assert container.execute("cat", "/large").finish().out == other.run().out
    finally:
        container.end()
        other.end()


def test_as_many_layers_as_an_image_may_have(
    own_spawner: Spawner, stack: list[Path], tmp_path: Path
) -> None:
    layers = [stack[0]]
    for number in range(127):
        layers.append(tmp_path / f"{number:03}")
        index(tar_of(reg(f"many/{number}", b"%d" % number)), layers[-1])
    container = stacked(own_spawner.box(config(args=["sh", "-c", "cat /many/* | wc -c"])), layers)
    try:
        assert container.run().text == str(sum(len(str(number)) for number in range(127)))
        assert mounts_held(own_spawner) == 128
    finally:
        container.end()


def damage_index(layer: Path) -> None:
    (layer / "layer.erofs").unlink()


def damage_tar(layer: Path) -> None:
    (layer / "layer.tar").unlink()


def damage_head(layer: Path) -> None:
    with (layer / "layer.erofs").open("r+b") as file:
        file.seek(1024)
        file.write(bytes(128))


def damage_length(layer: Path) -> None:
    os.truncate(layer / "layer.erofs", 1200)


def damage_root(layer: Path) -> None:
    with (layer / "layer.erofs").open("r+b") as file:
        file.seek(1280)
        file.write(b"\xff" * 64)


@pytest.mark.parametrize(
    "damage", [damage_index, damage_tar, damage_head, damage_length, damage_root]
)
def test_a_damaged_layer(box: MakeBox, stack: list[Path], layer: Path, damage: object) -> None:
    assert callable(damage)
    damage(layer)
    container = stacked(box(), [stack[0], layer])
    with pytest.raises(ScowError) as raised:
        container.spawn()
    assert type(raised.value) is LayerCorrupt
    assert raised.value.metadata["which"] == f"{layer}/layer.erofs"
