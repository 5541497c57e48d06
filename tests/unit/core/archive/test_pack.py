"""Archives of trees, read back by Python's tarfile and by GNU tar."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.core.archive import headers
from scow.core.archive.headers import BLOCK, END, Entry
from scow.core.archive.pack import Packer, Write
from scow.kernel.trees import remove_tree
from tests.support.deep import deep

NAMES = st.binary(min_size=1, max_size=300).filter(
    lambda name: b"\0" not in name and name.strip(b"/") == name and not name.startswith(b"./")
)


def packed(root: Path) -> bytes:
    stream = io.BytesIO()
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Packer(stream.write).pack(descriptor)
    finally:
        os.close(descriptor)
    return stream.getvalue()


def read(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as tar:
        return {entry.name: entry for entry in tar}


@given(
    name=NAMES,
    link=NAMES,
    uid=st.integers(0, 2**32 - 2),
    mode=st.integers(0, 0o7777),
    mtime=st.integers(-(2**40), 2**65),
    xattr=st.binary(max_size=50),
)
def test_what_a_header_says(
    name: bytes, link: bytes, uid: int, mode: int, mtime: int, xattr: bytes
) -> None:
    entry = Entry(
        name,
        headers.SYMLINK,
        mode,
        uid,
        uid + 1,
        mtime_ns=mtime,
        link=link,
        xattrs={"user.any": xattr},
    )
    data = headers.header(entry)
    assert len(data) % BLOCK == 0
    (found,) = read(data + END).values()
    assert os.fsencode(found.name) == name
    assert os.fsencode(found.linkname) == link
    assert (found.uid, found.gid, found.mode) == (uid, uid + 1, mode)
    assert abs(found.mtime - mtime / 1e9) <= 1e-6 * abs(mtime) / 1e9 + 1e-6
    assert os.fsencode(found.pax_headers["SCHILY.xattr.user.any"]) == xattr


def test_files_of_more_than_eight_gibibytes() -> None:
    data = headers.header(Entry(b"huge", headers.FILE, size=1 << 34))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = tar.next()
    assert found is not None
    assert found.size == 1 << 34


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 200, 255, 256, 257, 1000])
@pytest.mark.parametrize("slash", [0, 20, 99, 120, 154, 155, 156])
def test_long_names_of_directories(length: int, slash: int) -> None:
    name = bytearray(b"n" * (length - 1) + b"/")
    if 0 < slash < length - 2:
        name[slash] = ord("/")
    (found,) = read(headers.header(Entry(bytes(name), headers.DIRECTORY)) + END).values()
    assert found.name == name.decode().rstrip("/")
    assert found.isdir()


def a_tree(root: Path) -> None:
    """Fill a directory with one of each kind that needs no privilege."""
    (root / "folder").mkdir(mode=0o750)
    (root / "folder" / "file").write_bytes(b"content" * 1000)
    (root / "folder" / "setuid").write_bytes(b"x")
    (root / "folder" / "setuid").chmod(0o4755)
    os.link(root / "folder" / "file", root / "a-second-name")
    (root / "symlink").symlink_to("folder/" + "long" * 40)
    os.mkfifo(root / "fifo", 0o600)
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf-8-\xff\xfe")).write_bytes(b"")
    (root / "ü").write_bytes(b"utf-8")
    os.setxattr(root / "ü", "user.note", b"\0\xff=\n")
    os.setxattr(root / "ü", "user.overlay.origin", b"x")
    os.utime(root / "ü", ns=(1, 1_600_000_000_123_456_789))


def test_the_same_bytes_again_sorted_without_what_is_no_content(tmp_path: Path) -> None:
    a_tree(tmp_path)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
    data = packed(tmp_path)
    assert data == packed(tmp_path)
    entries = read(data)
    assert list(entries) == sorted(entries, key=os.fsencode)
    assert "socket" not in entries
    assert entries["ü"].pax_headers["mtime"] == "1600000000.123456789"
    xattrs = [key for key in entries["ü"].pax_headers if key.startswith("SCHILY")]
    assert xattrs == ["SCHILY.xattr.user.note"]
    assert not any(entry.uname or entry.gname for entry in entries.values())
    assert not any("atime" in entry.pax_headers for entry in entries.values())
    assert entries["folder/file"].linkname == "a-second-name"


def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    tree, target = tmp_path / "tree", tmp_path / "target"
    tree.mkdir()
    target.mkdir()
    a_tree(tree)
    with (tree / "sparse").open("wb") as file:
        file.truncate(5_000_000)
        os.pwrite(file.fileno(), b"in the middle", 3_000_000)
    done = subprocess.run(
        ["tar", "-xp", "--xattrs", "--xattrs-include=*", "-C", str(target)],
        input=packed(tree),
        capture_output=True,
        check=True,
    )
    assert not done.stderr
    os.removexattr(tree / "ü", "user.overlay.origin")
    assert packed(target) == packed(tree)


def test_holes_stay_holes(tmp_path: Path) -> None:
    for name, pieces in {
        "all": [],
        "start": [0],
        "middle": [9 << 20],
        "end": [(20 << 20) - 1],
    }.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(20 << 20)
            for offset in pieces:
                os.pwrite(file.fileno(), b"x", offset)
    data = packed(tmp_path)
    assert len(data) < 1 << 20
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for name in ("all", "start", "middle", "end"):
            found = tar.extractfile(name)
            assert found is not None
            assert found.read() == (tmp_path / name).read_bytes()


def test_deep_trees(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("a-folder-in-a-folder", dir_fd=here)
        inner = os.open("a-folder-in-a-folder", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert max(map(len, read(packed(tmp_path)))) == 300 * len("a-folder-in-a-folder/") - 1


class Disturbed(Packer):
    """Changes a file each time that something of it has been written."""

    path: Path
    size: int

    def special(
        self, directory: int, name: bytes, path: bytes, status: os.stat_result
    ) -> Entry | None:
        if name == b"file":
            write = self._write

            def written(data: bytes | memoryview) -> object:
                os.truncate(self.path, self.size)
                return write(data)

            self._write = written
        return None


@pytest.mark.parametrize("size", [0, 3_000_000, 9_000_000])
def test_a_file_that_changes_has_the_announced_size(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5_000_000)
    (tmp_path / "next").write_bytes(b"untouched")
    stream = io.BytesIO()
    packer = Disturbed(stream.write)
    packer.path, packer.size = tmp_path / "file", size
    descriptor = os.open(tmp_path, os.O_RDONLY)
    packer.pack(descriptor)
    os.close(descriptor)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        found = tar.extractfile("file")
        after = tar.extractfile("next")
        assert found is not None
        assert after is not None
        content = found.read()
        assert len(content) == 5_000_000
        assert content.rstrip(b"\0") == b"x" * len(content.rstrip(b"\0"))
        assert after.read() == b"untouched"


def test_a_tree_deeper_than_descriptors_and_paths_reach(tmp_path: Path) -> None:
    deep(tmp_path, 1500)
    found = list(read(packed(tmp_path)))
    assert found.count("d/" * 1499 + "file") == 1
    assert found[-1] == "file"  # on the way up every directory is gone on with
    assert len(found) == 1 + 2 * 1500
    remove_tree(tmp_path)


def test_directories_that_are_moved_while_their_tree_is_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    deep(tree, 200)

    class Mover(Packer):
        def choose(self, directory: int, path: bytes, names: list[bytes]) -> list[bytes]:
            if path == b"d/" * 150:
                (tree / ("d/" * 120)).rename(tmp_path / "elsewhere")
                (tree / ("d/" * 80)).rename(tree / "moved")
            return names

    stream = io.BytesIO()
    before = os.listdir("/proc/self/fd")
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    Mover(stream.write).pack(descriptor)
    os.close(descriptor)
    found = read(stream.getvalue())
    assert "d/" * 199 + "file" in found
    assert "d/" * 30 + "file" in found
    assert not any(name.startswith("../") for name in found)
    assert len(os.listdir("/proc/self/fd")) <= len(before), "all are closed again"


def _link(path: Path) -> None:
    path.symlink_to("/nowhere")


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "in").touch()


_KINDS: dict[str, tuple[Callable[[Path], None], bytes]] = {
    "file": (Path.touch, tarfile.REGTYPE),
    "link": (_link, tarfile.SYMTYPE),
    "folder": (_folder, tarfile.DIRTYPE),
    "fifo": (os.mkfifo, tarfile.FIFOTYPE),
}


class _Swapping(Packer):
    """Packs while the entry "x" becomes something else each time that it was looked at."""

    def __init__(self, write: Write, path: Path, kinds: list[str]) -> None:
        super().__init__(write)
        self._path, self._kinds = path, kinds

    def special(
        self, directory: int, name: bytes, path: bytes, status: os.stat_result
    ) -> Entry | None:
        if name == b"x" and self._kinds:
            self._path.rename(self._path.parent.parent / f"old{len(self._kinds)}")
            _KINDS[self._kinds.pop(0)][0](self._path)
        return None


@pytest.mark.parametrize("before", _KINDS)
@pytest.mark.parametrize("after", _KINDS)
def test_what_becomes_something_else_is_taken_as_it_is_now(
    tmp_path: Path, before: str, after: str
) -> None:
    (tmp_path / "tree").mkdir()
    path = tmp_path / "tree/x"
    _KINDS[before][0](path)
    stream = io.BytesIO()
    root = os.open(tmp_path / "tree", os.O_RDONLY | os.O_DIRECTORY)
    _Swapping(stream.write, path, [after]).pack(root)
    os.close(root)
    found = read(stream.getvalue())
    # A fifo is not opened: nothing tells that it became something else.
    assert (
        found["./x" if "./x" in found else "x"].type
        == _KINDS[after if before != "fifo" else before][1]
    )


def test_what_never_stays_the_same_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").touch()
    (tmp_path / "tree/x").mkdir()
    stream = io.BytesIO()
    root = os.open(tmp_path / "tree", os.O_RDONLY | os.O_DIRECTORY)
    _Swapping(stream.write, tmp_path / "tree/x", ["link", "folder"] * 10).pack(root)
    os.close(root)
    assert [name.strip("./") for name in read(stream.getvalue())] == ["", "a"]
