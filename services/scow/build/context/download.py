"""Files at URLs, kept as they are fetched and compared with their checksums."""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from scow.build.context.archive import FileContents
from scow.contract.errors import DigestMismatch
from scow.core.download import STALL_SECONDS, fetched, pieces

SIZE_MAX = 16 << 30
_NAME = re.compile(r"[^/\0]{1,255}")


@dataclass(frozen=True)
class Download:
    """A file that was fetched.

    Attributes:
        contents: The file, which has no name, to be closed.
        name: The last part of the URL, or "".
        digest: "sha256:...".
        mtime_ns: When the server says that it changed; 0 where it does not.
    """

    contents: FileContents
    size: int
    name: str
    digest: str
    mtime_ns: int


async def download(
    url: str,
    folder: str,
    *,
    checksum: str = "",
    check: Callable[[str], None] = lambda _: None,
    size_max: int = SIZE_MAX,
    stall_seconds: float = STALL_SECONDS,
) -> Download:
    """Fetch a file.

    Args:
        url: "https://..."; a name and password in it do not follow a redirect to another origin.
        folder: Where it may be kept.
        checksum: What it must have, "sha256:..."; empty takes any.
        check: Called with each URL before it is fetched; raises for those that may not be.
        size_max: Bytes.
        stall_seconds: Seconds without a byte after which it counts as stalled.

    Raises:
        InvalidArgument: No such URL can be.
        PermissionDenied: It redirects to a private address; or what `check` raises.
        SourceUnavailable: It cannot be reached, refuses, stalls, sends too few bytes or redirects too often.
        DigestMismatch: It has another checksum.
        LimitExceeded: It sends too many bytes.
    """
    async with fetched(url, check=check, stall_seconds=stall_seconds) as response:
        return await _receive(response, url, folder, checksum, size_max)


async def _receive(
    response: aiohttp.ClientResponse, url: str, folder: str, checksum: str, size_max: int
) -> Download:
    descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        algorithm = checksum.partition(":")[0] or "sha256"
        hashed = {name: hashlib.new(name) for name in {"sha256", algorithm}}
        async for piece in pieces(response, url, size_max, "COPY it from a context"):
            for each in hashed.values():
                each.update(piece)
            _write_all(descriptor, piece)
        found = f"{algorithm}:{hashed[algorithm].hexdigest()}"
        shown = URL(url).with_user(None)
        if checksum and found != checksum:
            raise DigestMismatch(
                f"{shown} has the checksum {found}, not {checksum}",
                what="URL",
                which=str(shown),
                do="see whether the file has changed, and who changed it",
            )
        digest = f"sha256:{hashed['sha256'].hexdigest()}"
        size = os.fstat(descriptor).st_size
        return Download(FileContents(descriptor), size, _name(shown), digest, _modified(response))
    except BaseException:
        os.close(descriptor)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _name(url: URL) -> str:
    """Return the name for the file of a URL: the last part of its path."""
    name = url.name
    return name if _NAME.fullmatch(name) and name not in (".", "..") else ""


def _modified(response: aiohttp.ClientResponse) -> int:
    try:
        when = email.utils.parsedate_to_datetime(response.headers.get("Last-Modified", ""))
        return max(int(when.timestamp()), 0) * 1_000_000_000
    except (ValueError, TypeError, OverflowError):
        return 0
