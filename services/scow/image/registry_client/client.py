"""The client side of all registries: gives what talks to one of them.

::

    Registries ── pulling() ──> Registry (pulling)        asks peers, mirrors and the registry, in order
               ── pushing() ──> Session ──> uploads       blobs and manifests go up
               ── origin()  ──> Session ──> catalogue     tags, repositories, referrers, is anybody there
"""

from __future__ import annotations

from scow.contract.errors import RegistryRefused
from scow.core.config import ImageSection
from scow.image.oci.reference import Reference, host_of
from scow.image.registry_client.auth import Authorizer
from scow.image.registry_client.catalogue import ping
from scow.image.registry_client.credentials import ANONYMOUS, Credentials
from scow.image.registry_client.downloads import Registry
from scow.image.registry_client.endpoints import PULL, PUSH, Endpoint, parse_url
from scow.image.registry_client.hosts import Hosts
from scow.image.registry_client.http import Http
from scow.image.registry_client.session import Session, Wire


class Registries:
    """All registries.

    Args:
        settings: The service's section of the configuration.

    Raises:
        InvalidConfig: A URL in the configuration is none.
    """

    def __init__(self, settings: ImageSection) -> None:
        self._hosts = Hosts(settings)
        self._http = Http(settings)
        self._wire = Wire(self._http, Authorizer(self._http), settings)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def pulling(self, reference: Reference, credentials: Credentials) -> Registry:
        """Return what pulls from a reference's registry, for a caller with these credentials.

        Raises:
            InvalidConfig: A hosts.toml is wrong.
        """
        endpoints = self._hosts.able(reference.domain, PULL)
        sessions = [
            self._session(each, reference, credentials, patient=each is endpoints[-1])
            for each in endpoints
        ]
        return Registry(sessions, self._hosts, reference.domain)

    def pushing(self, reference: Reference, credentials: Credentials) -> Session:
        """Return the session by which a repository is written to.

        Raises:
            InvalidConfig: A hosts.toml is wrong.
            RegistryRefused: It lets nobody push.
        """
        for endpoint in self._hosts.able(reference.domain, PUSH):
            return self._session(endpoint, reference, credentials, patient=True)
        raise RegistryRefused(
            f"no host of {reference.domain} may be pushed to",
            what="registry",
            which=reference.domain,
            do="give one the capability push in hosts.toml",
        )

    def origin(self, domain: str, credentials: Credentials, repository: str = "") -> Session:
        """Return a session with a registry itself.

        Raises:
            InvalidConfig: A hosts.toml is wrong.
        """
        endpoint = self._hosts.all(domain)[-1]
        name = f"{domain}/{repository}" if repository else domain
        mine = _fit(endpoint, domain, credentials)
        return Session(self._wire, endpoint, repository, name, mine)

    async def login(self, domain: str, credentials: Credentials) -> str:
        """Check credentials with a registry; return the identity token that it gives, or nothing.

        Raises:
            RegistryDenied, RegistryUnavailable, RegistryRateLimited, RegistryRefused: See these classes.
            InvalidConfig: A hosts.toml is wrong.
        """
        endpoint = self._hosts.all(domain)[-1]
        session = Session(self._wire, endpoint, "", domain, credentials, offline=True)
        who = session.who(())
        # What was found out with these credentials before does not count.
        self._wire.authorizer.forget(who)
        await ping(session)
        return self._wire.authorizer.identity_token(who)

    def searching(self, url: str) -> Session:
        """Return a session with a service that searches.

        Raises:
            InvalidConfig: It is not a URL.
        """
        endpoint = parse_url(url, "image.search_url", override_path=True)
        return Session(self._wire, endpoint, "", endpoint.host, ANONYMOUS)

    def _session(
        self, endpoint: Endpoint, reference: Reference, credentials: Credentials, *, patient: bool
    ) -> Session:
        mine = _fit(endpoint, reference.domain, credentials)
        name = str(reference)
        return Session(self._wire, endpoint, reference.path, name, mine, patient=patient)


def _fit(endpoint: Endpoint, domain: str, credentials: Credentials) -> Credentials:
    """Return the credentials for an endpoint: the caller's are for the registry's own host, and no other.

    A mirror in the clear on the same host is another host in this.
    """
    same = endpoint.host == host_of(domain).lower()
    if same and (endpoint.is_origin or endpoint.scheme == "https"):
        return credentials or endpoint.credentials
    return endpoint.credentials or ANONYMOUS
