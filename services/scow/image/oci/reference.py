"""References of images: "nginx", "ghcr.io/org/app:1.2", "[::1]:5000/a@sha256:...".

The grammar is that of the distribution project's reference package; what is left out is completed as Docker does:
docker.io, library/, latest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scow.contract.errors import InvalidReference
from scow.image.content.digests import is_digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
# Docker Hub answers the distribution API under another name than its references have.
_DOCKER_HOST = "registry-1.docker.io"
_NAME_MAX = 255
_PORT_MAX = 65535

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::([0-9]{{1,5}}))?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_BARE_ID = re.compile(r"[0-9a-f]{64}")


def parse_domain(text: str) -> str:
    """Return the registry that people mean: "docker.io" for nothing, HOST[:PORT] of a URL.

    Raises:
        InvalidReference: It is not a host.
    """
    domain = text.rpartition("://")[2].partition("/")[0]
    if domain in ("", "index.docker.io", _DOCKER_HOST):
        return DEFAULT_DOMAIN
    if not _is_host(domain):
        raise InvalidReference(
            f"invalid registry {text[:80]!r}", what="registry", which=text, do="use HOST[:PORT]"
        )
    return domain


def host_of(domain: str) -> str:
    """Return host and port that serve a registry."""
    return _DOCKER_HOST if domain == DEFAULT_DOMAIN else domain


@dataclass(frozen=True)
class Reference:
    """A complete reference.

    Attributes:
        domain: "docker.io", "localhost:5000", "[::1]:5000".
        path: "library/nginx".
        tag: "latest"; empty when there is a digest.
        digest: "sha256:..." or empty.
    """

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that the text means. A tag beside a digest is checked, then left out.

        Raises:
            InvalidReference: The text does not follow the grammar.
        """
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise _invalid(
                text,
                f"invalid digest {digest!r}",
                "use sha256: and 64, or sha512: and 128 digits 0-9a-f",
            )
        name, tag = _split_tag(rest)
        if tag is not None and not _TAG.fullmatch(tag):
            raise _invalid(
                text, f"invalid tag {tag!r}", "use up to 128 of A-Za-z0-9_.-, not . or - first"
            )
        domain, path = _split_domain(name)
        _check_name(text, domain, path)
        if _BARE_ID.fullmatch(name):
            raise _invalid(text, "it looks like an image id", "give a name, for example NAME:TAG")
        return cls(domain, path, "" if digest else tag or DEFAULT_TAG, digest)

    @property
    def repository(self) -> str:
        """The name without tag and digest: "docker.io/library/nginx"."""
        return f"{self.domain}/{self.path}"

    @property
    def target(self) -> str:
        """What a manifest is asked for by: the digest or the tag."""
        return self.digest or self.tag

    @property
    def host(self) -> str:
        """Host and port that serve the repository."""
        return host_of(self.domain)

    @property
    def familiar(self) -> str:
        """The shortest name that means the same, as Docker shows it: "nginx:latest"."""
        short = self.repository.removeprefix(f"{DEFAULT_DOMAIN}/")
        for name in (short.removeprefix("library/"), short):
            if _split_domain(name) == (self.domain, self.path):
                return name + self._suffix()
        return str(self)

    def __str__(self) -> str:
        """Return the complete reference."""
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        return f"@{self.digest}" if self.digest else f":{self.tag}"


def _invalid(text: str, why: str, do: str) -> InvalidReference:
    return InvalidReference(
        f"invalid image reference {text[:80]!r}: {why}", what="reference", which=text, do=do
    )


def _split_tag(rest: str) -> tuple[str, str | None]:
    colon = rest.rfind(":")
    if colon > rest.rfind("/") and colon > rest.rfind("]"):
        # "localhost:5000" alone is a name with the tag 5000, as Docker reads it.
        return rest[:colon], rest[colon + 1 :]
    return rest, None


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, path = name.partition("/")
    is_domain = first == "localhost" or first != first.lower() or any(c in first for c in ".:[")
    if not slash or not is_domain:
        first, path = DEFAULT_DOMAIN, name
    if first == "index.docker.io":
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return first, path


def _is_host(domain: str) -> bool:
    match = _DOMAIN.fullmatch(domain)
    return match is not None and int(match[1] or 0) <= _PORT_MAX


def _check_name(text: str, domain: str, path: str) -> None:
    if not _is_host(domain):
        raise _invalid(text, f"invalid host {domain!r}", "use HOST[:PORT], IPv6 as [ADDRESS]:PORT")
    if not path.removeprefix("library/"):
        raise _invalid(text, "the name is empty", "give a name, for example nginx")
    for component in path.split("/"):
        if not _COMPONENT.fullmatch(component):
            advice = "use lower-case letters and digits, between them . _ __ or -"
            raise _invalid(text, f"invalid name component {component!r}", advice)
    if len(domain) + 1 + len(path) > _NAME_MAX:
        raise _invalid(text, "the name is too long", f"use at most {_NAME_MAX} characters")
