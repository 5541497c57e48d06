"""What all requests share: the parts of the registry, and where a request leads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from scow.core.config import ImageSection, ServeSection
from scow.image.content.blobs import Blobs
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import ImageStore
from scow.image.oci.reference import is_digest
from scow.image.registry_server.auth.access import DELETE, PULL
from scow.image.registry_server.auth.authorization import Authorization, Caller
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.names import Naming
from scow.image.registry_server.repositories import Repositories

CALLER = "caller"
# The specification registers two algorithms; this registry keeps everything by SHA-256.
_SHA512 = re.compile(r"sha512:[0-9a-f]{128}")


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

    def has(self, repository: str, digest: str) -> bool:
        """Tell whether a blob can be read in a repository: where everybody may read everything, all have all."""
        if self.rows.blob_size(digest) is None:
            return False
        return self.authorization.open or self.repositories.has(repository, digest)

    def can_read(self, caller: Caller, repository: str, digest: str) -> bool:
        """Tell whether somebody may read a blob in a repository that has it."""
        return self.authorization.may(caller, repository, PULL) and self.has(repository, digest)


def parse_any_digest(text: str) -> str:
    """Return a digest that is looked for, also one of an algorithm by which nothing is kept here.

    Raises:
        Refusal: DIGEST_INVALID.
    """
    return text if _SHA512.fullmatch(text) else parse_digest(text)


def parse_digest(text: str) -> str:
    """Return a digest of something that is kept here.

    Raises:
        Refusal: DIGEST_INVALID: it is none, or not of SHA-256.
    """
    if not is_digest(text):
        raise Refusal(
            "DIGEST_INVALID", "no digest of the form sha256:<64 hexadecimal digits>", detail=text
        )
    return text


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
