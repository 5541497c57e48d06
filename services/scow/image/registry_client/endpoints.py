"""Endpoints: hosts that are asked for what a registry has, and how each is spoken to."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, field, replace

from scow.contract.errors import InvalidConfig
from scow.image.registry_client.credentials import ANONYMOUS, Credentials

# What an endpoint may be asked for: content by digest, what a tag stands for, and to take uploads.
PULL, RESOLVE, PUSH = "pull", "resolve", "push"
ALL = frozenset((PULL, RESOLVE, PUSH))
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Tls:
    """How TLS is done with a host, besides the system's CAs and the files in `certs_dir/HOST`.

    Attributes:
        cas: Files of further CAs.
        pairs: Files of client certificates, each with that of its key.
        verify: False takes any certificate.
    """

    cas: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    verify: bool = True


@dataclass(frozen=True)
class Endpoint:
    """A host that is asked.

    Attributes:
        host: "HOST[:PORT]".
        scheme: "https" or "http"; empty means that it is found out.
        base: Where the API starts, "/v2".
        may: What it may be asked for.
        tls: How TLS is done.
        headers: Sent with each request to this host, and to no other.
        credentials: What this host wants to know; the caller's are for the origin alone.
        namespace: The registry that it stands for, told to mirrors and peers as `ns`.
        is_origin: It is the registry itself.
        connect_seconds: For which it is tried to reach; 0 means as the configuration says.
    """

    host: str
    scheme: str = ""
    base: str = "/v2"
    may: frozenset[str] = ALL
    tls: Tls = field(default_factory=Tls)
    headers: tuple[tuple[str, str], ...] = ()
    credentials: Credentials = ANONYMOUS
    namespace: str = ""
    is_origin: bool = False
    connect_seconds: float = 0.0

    def __str__(self) -> str:
        """Return the host: what messages call it."""
        return self.host

    @property
    def url(self) -> str:
        """Return the URL as a configuration has it, without credentials."""
        return f"{self.scheme}://{self.host}{self.base.removesuffix('/v2')}"

    def scoped(self, repository: str) -> str:
        """Return a repository's name as this host knows it: a path behind /v2 is part of the name."""
        prefix = self.base.partition("/v2")[2].strip("/")
        return f"{prefix}/{repository}" if prefix else repository


def parse_url(url: str, key: str, *, override_path: bool = False) -> Endpoint:
    """Return the endpoint of a configured URL; without a scheme it is https.

    Args:
        url: "https://[NAME:PASSWORD@]HOST[:PORT][/PATH]".
        key: Of the configuration, for errors.
        override_path: The path is that of the API itself; otherwise /v2 is appended.

    Raises:
        InvalidConfig: The URL is invalid.
    """
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else f"https://{url}")
        port = parts.port
    except ValueError:
        raise _no_url(url, key) from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise _no_url(url, key)
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    unquote = urllib.parse.unquote
    return Endpoint(
        host=name if port is None or port == _PORTS[parts.scheme] else f"{name}:{port}",
        scheme=parts.scheme,
        base=_base(parts.path.rstrip("/"), override_path),
        credentials=Credentials(unquote(parts.username or ""), unquote(parts.password or "")),
    )


def _base(path: str, override_path: bool) -> str:
    if override_path or path.endswith("/v2"):
        return path
    return f"{path}/v2"


def _no_url(url: str, key: str) -> InvalidConfig:
    shown = url.rpartition("@")[2]  # what stands before may be a password
    return InvalidConfig(
        f"{key} has {shown!r}, which is not a URL of a registry",
        what="configuration key",
        which=key,
        do="use https://HOST[:PORT] or http://HOST[:PORT]",
    )


def hostname(host: str) -> str:
    """Return "HOST" of "HOST:PORT" or "[ADDRESS]:PORT"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def mirror_of(endpoint: Endpoint, domain: str) -> Endpoint:
    """Return an endpoint as one that stands for a registry."""
    return replace(endpoint, namespace=domain)
