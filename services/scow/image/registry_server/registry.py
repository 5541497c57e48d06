"""What all requests share: the parts of the registry, and where a request leads."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from scow.core.config import ImageSection, ServeSection
from scow.image.content.blobs import Blobs
from scow.image.content.digests import SHA256, SHA512, is_digest
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import ImageStore
from scow.image.registry_server.auth.access import DELETE, PULL
from scow.image.registry_server.auth.authorization import Authorization, Caller
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.names import Naming
from scow.image.registry_server.repositories import Repositories

CALLER = "caller"


@dataclass(frozen=True)
class Place:
    """Where a request leads: the repository, and how its client calls it."""

    repository: str
    name: str
    namespace: str
    caller: Caller

    def path(self, rest: str, **query: str) -> str:
        """Return the path of something in the repository, as this client reaches it."""
        if self.namespace:
            query["ns"] = self.namespace
        text = f"/v2/{self.name}/{rest}"
        return f"{text}?{urlencode(query)}" if query else text


@dataclass(frozen=True)
class Registry:
    """The parts of the registry."""

    settings: ImageSection
    rows: ImageStore
    blobs: Blobs
    leases: Leases
    repositories: Repositories
    naming: Naming
    authorization: Authorization

    @property
    def serve(self) -> ServeSection:
        """The registry's section of the configuration."""
        return self.settings.serve

    def enter(self, request: web.Request, action: str) -> Place:
        """Return where a request leads, if its caller may do this there.

        Raises:
            Refusal: NAME_INVALID, UNAUTHORIZED, DENIED; UNSUPPORTED for a change when all is read-only, and for a
                deletion where there are none, whoever asks.
        """
        if action == DELETE and not self.serve.deletion:
            raise Refusal("UNSUPPORTED", "this registry deletes nothing")
        name, namespace = request.match_info["name"], request.query.get("ns", "")
        repository = self.naming.repository(name, namespace)
        caller: Caller = request[CALLER]
        self.authorization.check(request, caller, repository, action)
        if action != PULL and self.serve.read_only:
            raise Refusal("UNSUPPORTED", "this registry is read-only")
        return Place(repository, name, namespace, caller)

    def has(self, place: Place, digest: str) -> bool:
        """Tell whether a blob can be read at a place.

        A mirror's client, which names a namespace, gets a layer also where only other images have it, if everybody
        may read everything.
        """
        if self.rows.blob_size(digest) is None:
            return False
        if place.namespace and self.authorization.open:
            return True
        return self.repositories.has(place.repository, digest)

    def can_mount(self, caller: Caller, repository: str, digest: str) -> bool:
        """Tell whether somebody may read a blob in a repository that has it."""
        if self.rows.blob_size(digest) is None:
            return False
        return self.authorization.may(caller, repository, PULL) and self.repositories.has(
            repository, digest
        )


def parse_digest(text: str) -> str:
    """Return a digest.

    Raises:
        Refusal: DIGEST_INVALID: it is none, or of an algorithm that is not supported.
    """
    if not is_digest(text):
        raise Refusal(
            "DIGEST_INVALID",
            "neither sha256: with 64 nor sha512: with 128 hexadecimal digits",
            detail=text,
        )
    return text


def parse_algorithm(request: web.Request) -> str:
    """Return the algorithm that a request to begin an upload announces for the blob's digest.

    Raises:
        Refusal: DIGEST_INVALID: it is not supported.
    """
    algorithm = request.query.get("digest-algorithm", SHA256)
    if algorithm not in (SHA256, SHA512):
        raise Refusal("DIGEST_INVALID", "the algorithms are sha256 and sha512", detail=algorithm)
    return algorithm


def parse_count(request: web.Request, default: int, most: int) -> int:
    """Return the `n` of a request for a list.

    Raises:
        Refusal: PAGINATION_NUMBER_INVALID.
    """
    text = request.query.get("n", "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise Refusal(
            "PAGINATION_NUMBER_INVALID", "n is not a number of entries", detail={"n": text}
        )
    return min(int(text[:9]), most)
