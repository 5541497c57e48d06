"""Asking registries: manifests and blobs, with authorization, patience and a second try.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md (pull)
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp

from scow.api.image.v1.image_pb2 import Auth
from scow.core.config import ImageSection
from scow.core.errors import (
    DigestMismatch,
    LimitExceeded,
    ManifestNotFound,
    RegistryRateLimited,
    RegistryUnavailable,
    ScowError,
)
from scow.image.blobs import Ingest
from scow.image.digests import digest_of
from scow.image.manifests import ACCEPTED, Descriptor
from scow.image.reference import Reference
from scow.image.registry.auth import Authorizer, denied, parse_challenge
from scow.image.registry.http import Http, Unreachable, unavailable

_CHUNK = 1 << 18
_PAUSE_SECONDS = 0.25
_PAUSE_MAX_SECONDS = 8.0
Result = TypeVar("Result")


class _Later(Exception):
    """The registry asks to come back after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Registry:
    """The registry of one reference, with one caller's credentials.

    Args:
        http: The session.
        authorizer: What is known of tokens.
        settings: The service's section of the configuration.
        reference: Names host and repository.
        auth: The caller's credentials; empty ones mean anonymous.
    """

    def __init__(
        self,
        http: Http,
        authorizer: Authorizer,
        settings: ImageSection,
        reference: Reference,
        auth: Auth,
    ) -> None:
        self._http = http
        self._authorizer = authorizer
        self._settings = settings
        self._host = reference.host
        self._repository = reference.path
        self._name = str(reference)
        self._auth = auth

    async def manifest(self, target: str) -> tuple[bytes, str]:
        """Get a manifest or index by tag or digest; return its bytes and media type.

        Raises:
            ManifestNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable: As they say.
            DigestMismatch: The bytes are not those that were asked for.
        """
        headers = {"Accept": ", ".join(ACCEPTED)}
        limit = self._settings.max_manifest_bytes

        async def attempt() -> tuple[bytes, str, str]:
            async with self._get(f"manifests/{target}", headers) as response:
                data = await self._read(response, limit, "manifest")
                announced = response.headers.get("Docker-Content-Digest", "")
                return data, response.content_type, announced

        data, media_type, announced = await self._patiently(attempt)
        wanted = target if target.startswith("sha256:") else announced
        if wanted.startswith("sha256:") and digest_of(data) != wanted:
            raise DigestMismatch(
                f"the manifest {target} of {self._name} was sent with the digest {digest_of(data)}",
                what="manifest",
                which=f"{self._name}@{wanted}",
                do="try again; if it stays so, the registry's content is damaged",
            )
        return data, media_type

    async def small_blob(self, blob: Descriptor, limit: int) -> bytes:
        """Get a blob of limited size, verified.

        Raises:
            DigestMismatch, LimitExceeded: As they say; and those of `manifest`.
        """

        async def attempt() -> bytes:
            async with self._get(f"blobs/{blob.digest}", {}) as response:
                return await self._read(response, limit, "configuration")

        data = await self._patiently(attempt)
        if digest_of(data) != blob.digest:
            raise DigestMismatch(
                f"the blob {blob.digest} was sent with the digest {digest_of(data)}",
                what="blob",
                which=blob.digest,
                do="try again; if it stays so, the registry's content is damaged",
            )
        return data

    async def download(self, blob: Descriptor, ingest: Ingest) -> None:
        """Append what an ingest lacks of a blob; a cut connection is resumed.

        Raises:
            DigestMismatch: More bytes came than were announced; and those of `manifest`.
        """

        async def attempt() -> None:
            headers = {"Range": f"bytes={ingest.size}-"} if ingest.size else {}
            async with self._get(f"blobs/{blob.digest}", headers) as response:
                await self._append(response, blob, ingest)

        if ingest.size < blob.size:
            await self._patiently(attempt, lambda: ingest.size)

    async def _append(
        self, response: aiohttp.ClientResponse, blob: Descriptor, ingest: Ingest
    ) -> None:
        # A registry that does not know ranges sends all: pass over what is there.
        skip = ingest.size if response.status == 200 else 0
        try:
            async for piece in response.content.iter_chunked(_CHUNK):
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
            raise unavailable(self._host, error) from error
        if ingest.size < blob.size:
            raise RegistryUnavailable(
                f"the registry {self._host} ended the blob {blob.digest} after {ingest.size} of"
                f" {blob.size} bytes",
                what="blob",
                which=blob.digest,
                do="try again: the download goes on where it stopped",
            )

    async def _read(self, response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
        data = bytearray()
        try:
            async for piece in response.content.iter_chunked(_CHUNK):
                data += piece
                if len(data) > limit:
                    raise LimitExceeded(
                        f"the {what} of {self._name} has more than {limit} bytes",
                        what=what,
                        which=self._name,
                        do="raise the limit in the configuration's [image] section",
                    )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(self._host, error) from error
        return bytes(data)

    async def _patiently(
        self, attempt: Callable[[], Awaitable[Result]], progress: Callable[[], int] = lambda: 0
    ) -> Result:
        """Try until it works; failures that last are given up, counted anew after each progress."""
        failures, reached = 0, progress()
        error: ScowError
        while True:
            try:
                return await attempt()
            except _Later as later:
                pause, error = later.seconds, self._limited(later.seconds)
            except Unreachable as problem:
                if not reached:  # nothing to be saved: say so at once
                    raise
                pause, error = _backoff(failures), problem
            except RegistryUnavailable as problem:
                pause, error = _backoff(failures), problem
            if progress() > reached:
                failures, reached = 0, progress()
            failures += 1
            if failures > self._settings.retries:
                raise error
            await asyncio.sleep(pause)

    @contextlib.asynccontextmanager
    async def _get(
        self, path: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET below the repository, authorized."""
        url = f"/v2/{self._repository}/{path}"
        who = (self._host, self._repository, self._auth)
        known = self._authorizer.header(*who)
        if known:
            headers = {**headers, "Authorization": known}
        async with self._http.get(self._host, url, headers) as response:
            if response.status != 401:
                self._check(response, path)
                yield response
                return
            challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
        self._authorizer.forget(*who)
        headers = {**headers, "Authorization": await self._authorizer.answer(*who, challenge)}
        async with self._http.get(self._host, url, headers) as response:
            if response.status == 401:
                self._authorizer.forget(*who)
            self._check(response, path)
            yield response

    def _check(self, response: aiohttp.ClientResponse, path: str) -> None:
        """Raise what a status means."""
        status = response.status
        if status in (200, 206):
            return
        if status in (401, 403):
            raise denied(self._host, self._repository, self._auth)
        if status == 404:
            kind = "blob" if path.startswith("blobs/") else "image"
            raise ManifestNotFound(
                f"the registry {self._host} has no {kind} {self._name}",
                what=kind,
                which=self._name,
                do="check the name and the tag",
            )
        if status == 429:
            seconds = _retry_after(response.headers.get("Retry-After", ""))
            if seconds > self._settings.retry_after_max_seconds:
                raise self._limited(seconds)
            raise _Later(seconds)
        raise RegistryUnavailable(
            f"the registry {self._host} answered with HTTP status {status}",
            what="registry",
            which=self._host,
            do="try again later, or tell who runs it",
            status=str(status),
        )

    def _limited(self, seconds: float) -> RegistryRateLimited:
        return RegistryRateLimited(
            f"the registry {self._host} limits the rate of requests",
            what="registry",
            which=self._host,
            do=f"try again in {seconds:.0f} seconds, or log in for a higher limit",
            retry_after=f"{seconds:.0f}",
        )


def _backoff(failures: int) -> float:
    pause: float = min(_PAUSE_SECONDS * 2**failures, _PAUSE_MAX_SECONDS)
    return pause * random.uniform(0.75, 1.25)


def _retry_after(value: str) -> float:
    try:
        return max(0.0, float(value))
    except ValueError:
        return 1.0
