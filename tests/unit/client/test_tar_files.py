"""Tars of containers, which are strangers, as local files."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from scow.client._tar_files import Archive, Extraction, extract
from scow.contract.errors import InvalidArchive


def tar_of(*entries: tuple[str, bytes, str]) -> io.BytesIO:
    """Return a tar of entries: name, kind, target or content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, text in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if kind == tarfile.REGTYPE:
                entry.size = len(text)
            entry.linkname = "" if kind == tarfile.REGTYPE else text
            tar.addfile(entry, io.BytesIO(text.encode()))
    stream.seek(0)
    return stream


DIR, FILE, LINK, HARD = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "entries",
    [
        (("../out", FILE, "x"),),
        (("a/../../out", FILE, "x"),),
        (("a", LINK, ".."), ("a/out", FILE, "x")),
        (("a", LINK, "OUTSIDE"), ("a/out", FILE, "x")),
        (("a", LINK, ".."), ("a", DIR, ""), ("a/out", FILE, "x")),
        (("a", HARD, "../secret"),),
        (("a", LINK, ".."), ("b", HARD, "a/secret")),
    ],
)
def test_no_entry_leads_out(tmp_path: Path, entries: tuple[tuple[str, bytes, str], ...]) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    named = [(name, kind, text.replace("OUTSIDE", str(tmp_path))) for name, kind, text in entries]
    with pytest.raises((InvalidArchive, OSError)):
        extract(tar_of(*named), str(folder))
    assert sorted(os.listdir(tmp_path)) == ["folder", "secret"]
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_an_absolute_name_is_one_below_the_directory(tmp_path: Path) -> None:
    extract(tar_of(("/a", DIR, ""), ("/a/b", FILE, "x")), str(tmp_path))
    assert (tmp_path / "a/b").read_text() == "x"


def test_a_file_takes_the_place_of_a_link_and_not_of_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to("kept")
    extract(tar_of(("link", FILE, "new")), str(tmp_path))
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize(("there", "wanted"), [("dir", FILE), ("file", DIR), ("link", DIR)])
def test_nothing_but_a_directory_takes_the_place_of_one(
    tmp_path: Path, there: str, wanted: bytes
) -> None:
    (tmp_path / "dir/in").mkdir(parents=True)
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("dir")
    with pytest.raises(InvalidArchive, match="cannot overwrite"):
        extract(tar_of((there, wanted, "")), str(tmp_path))
    assert (tmp_path / "dir/in").is_dir()
    assert (tmp_path / "file").read_text() == "kept"


def test_devices_are_left_out(tmp_path: Path) -> None:
    devices = (("null", tarfile.CHRTYPE, ""), ("disk", tarfile.BLKTYPE, ""))
    assert extract(tar_of(*devices, ("file", FILE, "x")), str(tmp_path)) == 2
    assert os.listdir(tmp_path) == ["file"]


def test_a_tree_that_was_packed_is_the_same_when_extracted(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/file").write_bytes(os.urandom(3_000_000))
    (source / "deep/er/link").symlink_to("../file")
    os.link(source / "deep/file", source / "hard")
    (source / ("n" * 200)).touch(0o600)
    (source / "not-utf-8-\udcff").touch()
    (tmp_path / "out").mkdir()
    with Extraction(str(tmp_path / "out"), "renamed", owners=False) as extraction:
        archive = Archive(str(source), "source")
        while piece := archive.read(1000):
            extraction.file.write(piece)
    target = tmp_path / "out/renamed"
    assert sorted(p.relative_to(source) for p in source.rglob("*")) == sorted(
        p.relative_to(target) for p in target.rglob("*")
    )
    assert (target / "deep/file").read_bytes() == (source / "deep/file").read_bytes()
    assert (target / "hard").samefile(target / "deep/file")
    assert (target / "deep/er/link").readlink() == Path("../file")


def test_a_tar_that_is_cut_short_is_told(tmp_path: Path) -> None:
    data = tar_of(("file", FILE, "x" * 100_000)).getvalue()
    with (
        pytest.raises(InvalidArchive, match="cannot be read"),
        Extraction(str(tmp_path), "file", owners=False) as extraction,
    ):
        extraction.file.write(data[:50_000])


def test_a_copy_that_is_refused_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidArchive):
        extract(tar_of(("a", DIR, ""), ("a/b", FILE, "x"), ("../out", FILE, "x")), str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
