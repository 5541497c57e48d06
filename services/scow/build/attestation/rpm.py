"""The database of installed packages of rpm 4.16 and later: SQLite, a header in each row.

Both are strangers': SQLite runs in memory, without the schema's own functions and for a bounded number of steps.
https://rpm-software-management.github.io/rpm/manual/hregions.html, format_header.html
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_STEPS_MAX = 50_000_000
_STEP = 100_000
# Bytes, https://www.sqlite.org/fileformat.html#the_database_header
_HEADER = 100
_ENTRIES_MAX = 65_536
_HEADER_MAX = 16 << 20
_STRING, _INT32, _STRINGS, _I18N = 6, 4, 8, 9
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_VENDOR, _LICENSE, _URL, _ARCHITECTURE, _SOURCE = 1011, 1014, 1020, 1022, 1044
_WANTED = (_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _LICENSE, _URL, _ARCHITECTURE, _SOURCE)
_ENTRY = struct.Struct(">iIiI")


@dataclass(frozen=True)
class Header:
    """What is taken from a package's header. `epoch` is empty where there is none."""

    name: str
    version: str
    release: str
    epoch: str
    architecture: str
    license: str
    vendor: str
    url: str
    source: str


def headers(database: bytes) -> Iterator[Header]:
    """Give the headers of a database.

    Raises:
        ValueError: It is not one, or takes too long to be read.
    """
    if len(database) < _HEADER:
        raise ValueError("it has no header")
    # rpm keeps a log beside its database (WAL), for which SQLite wants a file; what rpm has closed needs none.
    database = database[:18] + b"\1\1" + database[20:]
    steps = 0

    def stop() -> int:
        nonlocal steps
        steps += _STEP
        return steps > _STEPS_MAX

    connection = sqlite3.connect(":memory:")
    try:
        connection.set_progress_handler(stop, _STEP)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _HEADER_MAX)
        connection.deserialize(database)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        kind = connection.execute(
            "SELECT type FROM sqlite_master WHERE name = 'Packages'"
        ).fetchone()
        if kind != ("table",):
            raise ValueError("there is no table of packages")
        for (blob,) in connection.execute("SELECT blob FROM Packages ORDER BY hnum"):
            if isinstance(blob, bytes):
                yield parse(blob)
    except sqlite3.Error as error:
        raise ValueError(str(error)) from None
    finally:
        connection.close()


def parse(blob: bytes) -> Header:
    """Read a header.

    Raises:
        ValueError: It is not one.
    """
    if len(blob) < 8:
        raise ValueError("a header is cut off")
    count, length = struct.unpack_from(">II", blob)
    begin = 8 + 16 * count
    if count > _ENTRIES_MAX or len(blob) < begin + length:
        raise ValueError("a header is cut off")
    store = blob[begin : begin + length]
    values: dict[int, str] = {}
    for number in range(count):
        tag, kind, offset, _ = _ENTRY.unpack_from(blob, 8 + 16 * number)
        if tag in _WANTED and 0 <= offset < len(store):
            values.setdefault(tag, _value(store, kind, offset))
    return Header(
        *(values.get(tag, "") for tag in (_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE)),
        *(values.get(tag, "") for tag in (_LICENSE, _VENDOR, _URL, _SOURCE)),
    )


def _value(store: bytes, kind: int, offset: int) -> str:
    if kind in (_STRING, _STRINGS, _I18N):
        end = store.find(b"\0", offset)
        return store[offset : end if end >= 0 else len(store)].decode("utf-8", "replace")
    if kind == _INT32 and offset + 4 <= len(store):
        return str(struct.unpack_from(">I", store, offset)[0])
    return ""
