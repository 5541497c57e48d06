"""Tar archives byte by byte, so that they can be wrong in any way. POSIX.1-2017 pax, "ustar Interchange Format"."""

from __future__ import annotations

FILE, LINK, SYMLINK, CHAR, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
END = bytes(1024)
USTAR = b"ustar\x0000"
GNU = b"ustar  \0"


def octal(value: int, width: int) -> bytes:
    """Return a number as octal digits and a NUL."""
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    """Return a number as GNU tar writes those that octal digits do not hold."""
    return (value + (1 << (8 * width)) if value < 0 else value | 1 << (8 * width - 1)).to_bytes(
        width, "big"
    )


def header(
    name: bytes,
    kind: bytes = FILE,
    *,
    size: int | bytes = 0,
    mode: int = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 0,
    link: bytes = b"",
    device: tuple[int, int] | bytes = (0, 0),
    magic: bytes = USTAR,
    prefix: bytes = b"",
    tail: bytes = b"",
    checksum: bytes = b"",
) -> bytes:
    """Return one block. Numbers that are bytes stand as they are; `tail` goes over everything from byte 345 on."""

    def field(value: int | bytes, width: int) -> bytes:
        return (octal(value, width) if isinstance(value, int) else value).ljust(width, b"\0")

    numbers = field(mode, 8) + field(uid, 8) + field(gid, 8) + field(size, 12) + field(mtime, 12)
    nodes = device if isinstance(device, bytes) else b"".join(octal(part, 8) for part in device)
    start = name.ljust(100, b"\0")[:100] + numbers
    rest = kind + link.ljust(100, b"\0")[:100] + magic.ljust(8, b"\0") + bytes(64)
    rest += nodes.ljust(16, b"\0") + (tail or prefix).ljust(167, b"\0")
    total = sum(start) + 8 * ord(" ") + sum(rest)
    block = start + (checksum or b"%06o\0 " % total).ljust(8, b"\0") + rest
    assert len(block) == 512
    return block


def padded(data: bytes) -> bytes:
    """Return data filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def file(name: bytes, data: bytes = b"", **fields: object) -> bytes:
    """Return a regular file's header and data."""
    given: dict[str, object] = {"size": len(data), **fields}
    return header(name, FILE, **given) + padded(data)  # type: ignore[arg-type]


def directory(name: bytes, mode: int = 0o755, **fields: object) -> bytes:
    """Return a directory."""
    return header(name, DIRECTORY, mode=mode, **fields)  # type: ignore[arg-type]


def symlink(name: bytes, target: bytes) -> bytes:
    """Return a symlink."""
    return header(name, SYMLINK, link=target, mode=0o777)


def hardlink(name: bytes, target: bytes) -> bytes:
    """Return a hard link."""
    return header(name, LINK, link=target)


def record(key: bytes, value: bytes) -> bytes:
    """Return one PAX record, with its length in front."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    if len(str(length)) + len(body) != length:
        length += 1
    return b"%d" % length + body


def pax(records: bytes | dict[bytes, bytes], kind: bytes = b"x") -> bytes:
    """Return an extended header of records, or of bytes as they are."""
    if isinstance(records, dict):
        records = b"".join(record(key, value) for key, value in records.items())
    return header(b"PaxHeaders/x", kind, size=len(records)) + padded(records)


def gnu_long(kind: bytes, text: bytes) -> bytes:
    """Return GNU's long name ("L") or long link target ("K")."""
    text += b"\0"
    return header(b"././@LongLink", kind, size=len(text), magic=GNU) + padded(text)


def tar(*parts: bytes) -> bytes:
    """Return an archive of parts, with its end."""
    return b"".join(parts) + END
