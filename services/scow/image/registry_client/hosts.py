"""Which hosts are asked for what a registry has, in order: peers, mirrors, the registry itself.

Peers are other nodes and are asked by digest alone: what a tag stands for is told by mirrors and the registry.
Mirrors come from the configuration (`image.registry_mirrors`, `image.registries`) and from containerd's hosts.toml.
What comes by digest is verified, whoever sent it; a mirror is trusted with what a tag stands for, as Docker does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from scow.core.config import ImageSection
from scow.image.oci.reference import DEFAULT_DOMAIN, host_of
from scow.image.registry_client import hosts_toml
from scow.image.registry_client.endpoints import PULL, RESOLVE, Endpoint, mirror_of, parse_url


class Hosts:
    """The table of hosts.

    Args:
        settings: The service's section of the configuration.
        clock: Seconds that only grow.

    Raises:
        InvalidConfig: A URL in the configuration is invalid.
    """

    def __init__(self, settings: ImageSection, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._down: dict[str, float] = {}
        by_digest = frozenset((PULL,))
        self._peers = [
            replace(parse_url(url, "image.peers"), may=by_digest) for url in settings.peers
        ]
        self._mirrors = {
            domain: [
                replace(parse_url(url, f"image.registries.{domain}"), may=by_digest | {RESOLVE})
                for url in section.mirrors
            ]
            for domain, section in settings.registries.items()
        }
        self._mirrors.setdefault(DEFAULT_DOMAIN, []).extend(
            replace(parse_url(url, "image.registry_mirrors"), may=by_digest | {RESOLVE})
            for url in settings.registry_mirrors
        )

    def all(self, domain: str) -> list[Endpoint]:
        """Return the endpoints of a registry, the one to be asked first in front.

        Args:
            domain: As references have it, "docker.io".

        Raises:
            InvalidConfig: A hosts.toml is wrong.
        """
        listed, server = hosts_toml.read(self._settings.certs_dir, domain)
        others = [*self._peers, *self._mirrors.get(domain, ()), *listed]
        origin = server or Endpoint(host_of(domain).lower())
        return [*(mirror_of(each, domain) for each in others), replace(origin, is_origin=True)]

    def able(self, domain: str, *wanted: str) -> list[Endpoint]:
        """Return those of `all` that may be asked for something, without mirrors that could not be reached lately."""
        found = [each for each in self.all(domain) if each.may.issuperset(wanted)]
        return [each for each in found if each.is_origin or not self._is_down(each)]

    def note_down(self, endpoint: Endpoint) -> None:
        """Leave a mirror or peer alone for a while."""
        self._down[endpoint.host] = self._clock() + self._settings.mirror_retry_seconds

    def _is_down(self, endpoint: Endpoint) -> bool:
        return self._clock() < self._down.get(endpoint.host, 0.0)
