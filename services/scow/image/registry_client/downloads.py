"""What is pulled: manifests and blobs, from the first endpoint that has them.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md (pull)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import structlog

from scow.contract.errors import (
    DigestMismatch,
    LimitExceeded,
    ManifestNotFound,
    RegistryDenied,
    RegistryRateLimited,
    RegistryRefused,
    RegistryUnavailable,
)
from scow.image.content.blobs import Ingest
from scow.image.content.digests import digest_of, is_digest, matches
from scow.image.oci.manifests import ACCEPTED, Descriptor
from scow.image.registry_client.endpoints import PULL, RESOLVE
from scow.image.registry_client.errors import Unreachable, unavailable
from scow.image.registry_client.hosts import Hosts
from scow.image.registry_client.session import CHUNK, Session

# After these the next endpoint is asked: what remains is the caller's or this machine's fault.
_PASSED_ON = (
    ManifestNotFound,
    RegistryDenied,
    RegistryRateLimited,
    RegistryRefused,
    RegistryUnavailable,
    DigestMismatch,
    LimitExceeded,
)
Result = TypeVar("Result")
_log = structlog.get_logger()


class Registry:
    """The registry of one reference, with all who stand for it, for one caller.

    Args:
        sessions: With each endpoint, the one to be asked first in front, the registry's own last.
        hosts: Told who cannot be reached.
        domain: The registry's name, for messages.
    """

    def __init__(self, sessions: list[Session], hosts: Hosts, domain: str) -> None:
        self._sessions = sessions
        self._hosts = hosts
        self._domain = domain
        # Blobs whose bytes came, in part, from who is not the registry itself.
        self._suspect: dict[str, set[Session]] = {}
        self._distrusted: set[Session] = set()

    async def manifest(self, target: str) -> tuple[bytes, str]:
        """Get a manifest or index by tag or digest; return its bytes and media type.

        Raises:
            ManifestNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable: See these classes.
            DigestMismatch: The bytes are not those that were asked for.
        """
        by_digest = is_digest(target)

        async def get(session: Session) -> tuple[bytes, str]:
            return await _manifest(session, target)

        return await self._first(get, *((PULL,) if by_digest else (PULL, RESOLVE)))

    async def small_blob(self, blob: Descriptor, limit: int) -> bytes:
        """Get a blob of limited size, verified.

        Raises:
            DigestMismatch, LimitExceeded: See these classes; and those of `manifest`.
        """

        async def get(session: Session) -> bytes:
            async def attempt() -> bytes:
                path = session.path(f"blobs/{blob.digest}")
                async with session.request(
                    "GET", path, session.scopes("pull"), kind="blob"
                ) as response:
                    return await session.read(response, limit, "configuration")

            data = await session.patiently(attempt)
            if not matches(data, blob.digest):
                raise _mismatch("blob", blob.digest, blob.digest, digest_of(data))
            if len(data) != blob.size:
                raise DigestMismatch(
                    f"the blob {blob.digest} has {len(data)} bytes, not {blob.size} as its manifest says",
                    what="blob",
                    which=blob.digest,
                    do="tell who made the image",
                )
            return data

        return await self._first(get, PULL)

    async def download(self, blob: Descriptor, ingest: Ingest) -> None:
        """Append what an ingest lacks of a blob; what is cut is gone on with, here or at the next endpoint.

        Raises:
            DigestMismatch: More bytes came than were announced; and those of `manifest`.
        """

        async def get(session: Session) -> None:
            async def attempt() -> None:
                before = ingest.size
                if before >= blob.size:
                    return
                headers = {"Range": f"bytes={before}-"} if before else {}
                path = session.path(f"blobs/{blob.digest}")
                try:
                    async with session.request(
                        "GET",
                        path,
                        session.scopes("pull"),
                        kind="blob",
                        good=(200, 206),
                        headers=headers,
                    ) as response:
                        await _append(session, response, blob, ingest)
                finally:
                    if ingest.size > before:
                        self._suspect.setdefault(blob.digest, set()).add(session)

            await session.patiently(attempt, lambda: ingest.size)

        await self._first(get, PULL)

    def distrust(self, digest: str) -> bool:
        """Ask those who sent a blob's wrong bytes no more; tell whether somebody else is left to be asked."""
        senders = self._suspect.pop(digest, set())
        guilty = {session for session in senders if not session.endpoint.is_origin}
        self._distrusted |= guilty
        return bool(guilty)

    async def _first(self, ask: Callable[[Session], Awaitable[Result]], *may: str) -> Result:
        """Return what the first endpoint gives that gives it."""
        able = [each for each in self._sessions if each.endpoint.may.issuperset(may)]
        able = [each for each in able if each not in self._distrusted]
        if not able:
            raise unavailable(self._domain, RuntimeError("no host may be asked for it"))
        for session in able[:-1]:
            try:
                return await ask(session)
            except _PASSED_ON as error:
                if isinstance(error, Unreachable):
                    self._hosts.note_down(session.endpoint)
                _log.info("another host is asked", host=session.host, why=str(error))
        return await ask(able[-1])


async def _manifest(session: Session, target: str) -> tuple[bytes, str]:
    headers = {"Accept": ", ".join(ACCEPTED)}
    limit = session.wire.settings.max_manifest_bytes

    async def attempt() -> tuple[bytes, str, str]:
        path = session.path(f"manifests/{target}")
        async with session.request(
            "GET", path, session.scopes("pull"), kind="image", headers=headers
        ) as response:
            data = await session.read(response, limit, "manifest")
            announced = response.headers.get("Docker-Content-Digest", "")
            return data, response.content_type, announced

    data, media_type, announced = await session.patiently(attempt)
    wanted = target if is_digest(target) else announced
    if is_digest(wanted) and not matches(data, wanted):
        raise _mismatch("manifest", target, f"{session.name}@{wanted}", digest_of(data))
    return data, media_type


async def _append(
    session: Session, response: aiohttp.ClientResponse, blob: Descriptor, ingest: Ingest
) -> None:
    _check_range(session, response, blob, ingest.size)
    # A registry that does not know ranges sends all: pass over what is there.
    skip = ingest.size if response.status == 200 else 0
    try:
        async for piece in response.content.iter_chunked(CHUNK):
            data = piece[skip:]
            skip = max(0, skip - len(piece))
            if ingest.size + len(data) > blob.size:
                raise DigestMismatch(
                    f"the blob {blob.digest} has more than its {blob.size} bytes",
                    what="blob",
                    which=blob.digest,
                    do="tell who runs the registry: its manifest and blob disagree",
                )
            if data:
                ingest.write(data)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unavailable(session.host, error) from error
    if ingest.size < blob.size:
        raise RegistryUnavailable(
            f"the registry {session.host} ended the blob {blob.digest} after {ingest.size} of"
            f" {blob.size} bytes",
            what="blob",
            which=blob.digest,
            do="try again: the download goes on where it stopped",
        )


def _check_range(
    session: Session, response: aiohttp.ClientResponse, blob: Descriptor, position: int
) -> None:
    sent = response.headers.get("Content-Range", "")
    if response.status == 206 and sent and not sent.startswith(f"bytes {position}-"):
        raise DigestMismatch(
            f"the registry {session.host} sent {sent[:40]!r} of the blob {blob.digest} when asked for"
            f" what follows {position} bytes",
            what="blob",
            which=blob.digest,
            do="tell who runs the registry: it does not keep to ranges",
        )


def _mismatch(what: str, asked: str, which: str, got: str) -> DigestMismatch:
    return DigestMismatch(
        f"the {what} {asked} was sent with the digest {got}",
        what=what,
        which=which,
        do="try again; if it stays so, the registry's content is damaged",
    )
