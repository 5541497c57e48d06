"""What the image service tells of its store and of the registries that it is configured for."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from pathlib import Path

from scow.api.image.v1.store_pb2 import InfoResponse, MirroredRegistry
from scow.contract.errors import InvalidConfig
from scow.core.config import ImageSection
from scow.image.oci.reference import DEFAULT_DOMAIN
from scow.image.registry_client import hosts_toml


def info(settings: ImageSection, base: Path, drivers: Sequence[str]) -> InfoResponse:
    """Return it.

    Args:
        settings: The section of the configuration.
        base: The service's folder.
        drivers: Names of the drivers of layers that work here, the one that makes new layers first.
    """
    mirrors, warnings = _mirrors_of(settings)
    proxies = urllib.request.getproxies()
    return InfoResponse(
        driver=drivers[0],
        drivers=drivers,
        backing_filesystem=filesystem(base, Path("/proc/self/mountinfo").read_text()),
        registry_mirrors=mirrors.get(DEFAULT_DOMAIN, ()),
        insecure_registries=settings.insecure_registries,
        mirrored_registries=[
            MirroredRegistry(domain=domain, mirrors=urls) for domain, urls in mirrors.items()
        ],
        http_proxy=_without_credentials(proxies.get("http", "")),
        https_proxy=_without_credentials(proxies.get("https", "")),
        no_proxy=proxies.get("no", ""),
        warnings=warnings,
    )


def _mirrors_of(settings: ImageSection) -> tuple[dict[str, list[str]], list[str]]:
    """Return the mirrors by registry, in the order in which they are asked, and a warning for each unusable file."""
    found = {domain: list(each.mirrors) for domain, each in settings.registries.items()}
    found.setdefault(DEFAULT_DOMAIN, []).extend(settings.registry_mirrors)
    warnings = []
    for domain in hosts_toml.domains(settings.certs_dir):
        try:
            listed, _ = hosts_toml.read(settings.certs_dir, domain)
        except InvalidConfig as error:
            warnings.append(f"WARNING: {error}")
        else:
            found.setdefault(domain, []).extend(each.url for each in listed)
    shown = {
        domain: [_without_credentials(url) for url in urls]
        for domain, urls in sorted(found.items())
        if urls
    }
    return shown, warnings


def _without_credentials(url: str) -> str:
    """Return a URL in which a name and a password are hidden, as in Docker."""
    before, scheme, rest = url.rpartition("://")
    authority, slash, path = rest.partition("/")
    _, at, host = authority.rpartition("@")
    return f"{before}{scheme}xxxxx:xxxxx@{host}{slash}{path}" if at else url


def filesystem(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path is on, or nothing.

    Args:
        path: An absolute path.
        mounts: /proc/self/mountinfo (proc(5)).
    """
    found, depth = "", 0
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].replace(r"\040", " "))
        # Of mounts at one place the last one is what is seen.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split(" ")[0], len(point.parts)
    return found
