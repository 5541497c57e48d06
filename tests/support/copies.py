"""Copies in and out of containers, as a table of command lines that scow and Docker must answer alike.

Each case starts from the same local files and the same container, and what is there afterwards is compared.
"""

from __future__ import annotations

import os
from pathlib import Path

# Made in the container before each case, in /w.
CONTAINER = """
rm -rf /w; mkdir -p /w/dir/sub /w/empty /w/elsewhere; echo one > /w/dir/one; echo two > /w/dir/sub/two
echo file > /w/file; ln -s dir /w/link-dir; ln -s file /w/link-file; ln -s nowhere /w/dangling; ln -s /w/dir /w/absolute
chmod 4750 /w/file; chmod 1777 /w/dir; ln /w/file /w/hard; mkfifo /w/fifo
"""
IN = (
    # (source, destination in the container)
    ("file", "/w/new"),
    ("file", "/w/file"),
    ("file", "/w/dir"),
    ("file", "/w/dir/"),
    ("file", "/w/dir/."),
    ("file", "/w/new/"),
    ("file", "/w/no/new"),
    ("file", "/w/link-dir"),
    ("file", "/w/link-file"),
    ("file", "/w/absolute"),
    ("file", "/w/dangling"),
    ("file", "/w/fifo"),
    ("file", "w/relative"),
    ("file", "/w/file/x"),
    ("file", "/w/../w/dir/../new"),
    ("dir", "/w/new"),
    ("dir", "/w/new/"),
    ("dir", "/w/new/."),
    ("dir", "/w/file"),
    ("dir", "/w/dir"),
    ("dir", "/w/elsewhere"),
    ("dir", "/w/elsewhere/"),
    ("dir", "/w/link-dir"),
    ("dir", "/w/no/new"),
    ("dir/", "/w/elsewhere"),
    ("dir/", "/w/new"),
    ("dir/.", "/w/elsewhere"),
    ("dir/.", "/w/new"),
    ("dir/.", "/w/dir"),
    ("dir/.", "/w/file"),
    ("link-file", "/w/new"),
    ("link-file", "/w/dir"),
    ("link-dir", "/w/new"),
    ("link-dir", "/w/elsewhere"),
    ("link-dir/", "/w/new"),
    ("link-dir/", "/w/elsewhere"),
    ("link-dir/.", "/w/elsewhere"),
    ("-L link-file", "/w/new"),
    ("-L link-file", "/w/dir"),
    ("-L link-dir", "/w/elsewhere"),
    ("-L link-dir", "/w/new"),
    ("missing", "/w/new"),
    ("file/", "/w/new"),
    ("conflict", "/w"),
    ("over/.", "/w"),
)
OUT = (
    # (source in the container, destination)
    ("/w/file", "new"),
    ("/w/file", "file"),
    ("/w/file", "dir"),
    ("/w/file", "dir/"),
    ("/w/file", "new/"),
    ("/w/file", "no/new"),
    ("/w/file", "link-dir"),
    ("/w/file", "link-file"),
    ("/w/file", "dangling"),
    ("w/file", "new"),
    ("/w/file/", "new"),
    ("/w/dir", "new"),
    ("/w/dir", "new/"),
    ("/w/dir", "file"),
    ("/w/dir", "dir"),
    ("/w/dir", "elsewhere"),
    ("/w/dir", "link-dir"),
    ("/w/dir", "no/new"),
    ("/w/dir/", "elsewhere"),
    ("/w/dir/", "new"),
    ("/w/dir/.", "elsewhere"),
    ("/w/dir/.", "new"),
    ("/w/dir/.", "file"),
    ("/w/link-file", "new"),
    ("/w/link-file", "dir"),
    ("/w/link-dir", "new"),
    ("/w/link-dir/", "new"),
    ("/w/link-dir/.", "elsewhere"),
    ("-L /w/link-file", "new"),
    ("-L /w/link-file", "dir"),
    ("-L /w/link-dir", "elsewhere"),
    ("-L /w/link-dir", "new"),
    ("-L /w/absolute", "new"),
    ("/w/dangling", "new"),
    ("-L /w/dangling", "new"),
    ("/w/missing", "new"),
    ("/w/fifo", "new"),
    ("/w", "new"),
    ("/w/.", "elsewhere"),
    ("/w/dir/../file", "new"),
)


def make_local(folder: Path) -> None:
    """Make the local files of a case."""
    folder.mkdir()
    for name in ("dir/sub", "elsewhere", "conflict/x", "over/dir", "over/elsewhere"):
        (folder / name).mkdir(parents=True)
    (folder / "dir/one").write_text("local one")
    (folder / "dir/sub/three").write_text("local three")
    (folder / "file").write_text("local file")
    (folder / "conflict/file").mkdir()
    (folder / "over/dir/one").write_text("over one")
    (folder / "over/elsewhere/new").write_text("over new")
    for name, target in (("link-dir", "dir"), ("link-file", "file"), ("dangling", "nowhere")):
        (folder / name).symlink_to(target)
    os.chown(folder / "file", 1000, 1001)
    (folder / "file").chmod(0o2755)
    (folder / "dir/one").chmod(0o600)
    for path in (folder / "dir/one", folder / "dir/sub", folder / "dir", folder / "file"):
        os.utime(path, (10**9, 10**9))


def local_tree(folder: Path) -> list[str]:
    """Return what is in a local folder, a line for each file."""
    lines = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        text = (
            f"-> {path.readlink()}"
            if path.is_symlink()
            else path.read_text()
            if path.is_file()
            else ""
        )
        about = f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {status.st_nlink}"
        lines.append(f"{path.relative_to(folder)} {about} {text!r}")
    return lines


# Prints what is in /w of a container in the same way.
SHOWN = (
    "cd /w && find . | sort | while read f; do"
    " stat -c '%n %f %u:%g %h' $f;"
    " if [ -L $f ]; then readlink $f; elif [ -f $f ]; then cat $f; echo; fi; done"
)
