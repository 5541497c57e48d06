"""Packages by the records of package managers."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import pytest

from scow.build.attestation.packages import Package, Records, Release

DPKG = b"""Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u7
Description: GNU C Library
 it has
 Version: of nothing
Homepage: https://www.gnu.org/software/libc/libc.html

Package: gone
Status: deinstall ok config-files
Version: 1

Package: base
Version: 2

"""
APK = b"""C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
L:MIT
o:musl
m:Timo <timo@example.org>
U:https://musl.libc.org/
F:lib

P:busybox
V:1.36.1-r15
L:GPL-2.0-only
"""


def header(**tags: str | int) -> bytes:
    """Return a header of rpm with strings and numbers."""
    numbers = {
        "name": 1000,
        "version": 1001,
        "release": 1002,
        "epoch": 1003,
        "license": 1014,
        "arch": 1022,
    }
    entries, store = b"", b""
    for key, value in tags.items():
        if isinstance(value, int):
            store += b"\0" * (-len(store) % 4)
            entries += struct.pack(">iIiI", numbers[key], 4, len(store), 1)
            store += struct.pack(">I", value)
        else:
            entries += struct.pack(">iIiI", numbers[key], 6, len(store), 1)
            store += value.encode() + b"\0"
    return struct.pack(">II", len(tags), len(store)) + entries + store


def database(*statements: str, blobs: tuple[bytes, ...] = ()) -> bytes:
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    for blob in blobs:
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
    connection.commit()
    return connection.serialize()


TABLE = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"


def read(path: str, content: bytes) -> list[Package]:
    records = Records()
    assert records.wants(path)
    records.add(path, content)
    assert records.unreadable == []
    return records.packages()


def test_dpkg() -> None:
    base, libc = read("var/lib/dpkg/status", DPKG)
    assert (base.name, base.version) == ("base", "2")
    assert libc == Package(
        "deb",
        "libc6",
        "2.36-9+deb12u7",
        "amd64",
        "",
        "GNU Libc Maintainers <debian-glibc@lists.debian.org>",
        "https://www.gnu.org/software/libc/libc.html",
        "glibc@2.36-9",
        "var/lib/dpkg/status",
    )


def test_this_machine() -> None:
    found = read("var/lib/dpkg/status", Path("/var/lib/dpkg/status").read_bytes())
    assert {"dpkg", "bash"} <= {package.name for package in found}
    assert all(package.version and package.architecture for package in found)


def test_apk() -> None:
    busybox, musl = read("lib/apk/db/installed", APK)
    assert (busybox.name, busybox.license) == ("busybox", "GPL-2.0-only")
    assert (musl.version, musl.architecture, musl.source) == ("1.2.4-r2", "x86_64", "musl@1.2.4-r2")


def test_rpm() -> None:
    content = database(
        TABLE,
        blobs=(
            header(
                name="bash",
                version="5.2",
                release="1.fc39",
                license="GPL-3.0-or-later",
                arch="x86_64",
            ),
            header(name="shadow", version="4", release="2", epoch=2),
        ),
    )
    bash, shadow = read("usr/lib/sysimage/rpm/rpmdb.sqlite", content)
    assert (bash.version, bash.architecture, bash.license) == (
        "5.2-1.fc39",
        "x86_64",
        "GPL-3.0-or-later",
    )
    assert shadow.version == "2:4-2"


def test_rpm_as_rpm_leaves_it(tmp_path: Path) -> None:
    """It opens its database with `journal_mode = WAL`, which the file says from then on."""
    connection = sqlite3.connect(tmp_path / "rpmdb.sqlite")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(TABLE)
    bash = header(name="bash", version="5.2", release="1.fc39", arch="x86_64")
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (bash,))
    connection.commit()
    connection.close()
    content = (tmp_path / "rpmdb.sqlite").read_bytes()
    assert content[18:20] == b"\2\2"
    (package,) = read("usr/lib/sysimage/rpm/rpmdb.sqlite", content)
    assert (package.name, package.version) == ("bash", "5.2-1.fc39")


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (
            "usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO",
            b"Metadata-Version: 1.2\nName: six\nVersion: 1.16.0\nLicense: MIT\nAuthor: B\n\nText\n",
            ("pypi", "six", "1.16.0", "MIT", "B"),
        ),
        (
            "opt/venv/lib/python3.11/site-packages/Foo_Bar-2.dist-info/METADATA",
            b"Name: Foo_Bar\nVersion: 2\nLicense: UNKNOWN\nLicense-Expression: Apache-2.0\n",
            ("pypi", "Foo_Bar", "2", "Apache-2.0", ""),
        ),
        (
            "app/node_modules/@scope/thing/package.json",
            b'{"name": "@scope/thing", "version": "1.0.0", "license": {"type": "ISC"}, "author": {"name": "A"}}',
            ("npm", "@scope/thing", "1.0.0", "ISC", "A"),
        ),
        (
            "app/node_modules/a/node_modules/b/package.json",
            b'{"name": "b", "version": "2.0.0", "license": "MIT"}',
            ("npm", "b", "2.0.0", "MIT", ""),
        ),
    ],
)
def test_pip_and_npm(path: str, content: bytes, expected: tuple[str, ...]) -> None:
    (package,) = read(path, content)
    found = (package.kind, package.name, package.version, package.license, package.supplier)
    assert found == expected


@pytest.mark.parametrize(
    "path",
    [
        "srv/var/lib/dpkg/status",
        "app/package.json",
        "app/node_modules/a/lib/package.json",
        "x/site-packages/a.dist-info/RECORD",
        "var/lib/dpkg/status-old",
    ],
)
def test_what_is_no_record(path: str) -> None:
    assert not Records.wants(path)


def test_the_distribution() -> None:
    records = Records()
    records.add("usr/lib/os-release", b"ID=other\n")
    records.add("etc/os-release", b'PRETTY_NAME="Debian 12"\n# x\nID=debian\nVERSION_ID="12"\n')
    assert records.release == Release("debian", "12", "Debian 12")


GENERATED = "CREATE TABLE Packages (hnum INTEGER, blob AS (zeroblob(900000000)))"
LOOP = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS hnum, x AS blob FROM n"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("app/node_modules/a/package.json", b"[1]"),
        ("app/node_modules/a/package.json", b"[" * 100_000),
        ("app/node_modules/a/package.json", b"\xff"),
        ("var/lib/rpm/rpmdb.sqlite", b""),
        ("var/lib/rpm/rpmdb.sqlite", b"not sqlite"),
        ("var/lib/rpm/rpmdb.sqlite", b"not sqlite" * 100),
        ("var/lib/rpm/rpmdb.sqlite", database("CREATE TABLE Other (x)")),
        ("var/lib/rpm/rpmdb.sqlite", database(f"CREATE VIEW Packages AS {LOOP}")),
        ("var/lib/rpm/rpmdb.sqlite", database(GENERATED, "INSERT INTO Packages VALUES (1)")),
        ("var/lib/rpm/rpmdb.sqlite", database(TABLE, blobs=(b"\xff" * 20,))),
        ("var/lib/rpm/rpmdb.sqlite", database(TABLE, blobs=(b"",))),
    ],
)
def test_records_of_strangers(path: str, content: bytes) -> None:
    records = Records()
    records.add(path, content)
    assert (records.packages(), records.unreadable) == ([], [path])


def test_values_that_are_no_texts() -> None:
    (package,) = read(
        "app/node_modules/a/package.json", b'{"name": "a\\nb\\u0000", "version": 5, "license": []}'
    )
    assert (package.name, package.version, package.license) == ("a b\0", "", "")
