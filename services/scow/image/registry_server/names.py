"""What the NAME in /v2/NAME/... means: the repository of a complete reference, "docker.io/library/nginx".

?ns=HOST           HOST/NAME, as containerd asks mirrors
HOST.WITH.DOT/...  that one; so does localhost/...
anything else      `image.serve.name`/NAME
"""

from __future__ import annotations

import re

from scow.contract.errors import InvalidConfig, InvalidReference
from scow.image.oci.reference import DEFAULT_DOMAIN, Reference
from scow.image.registry_server.http.errors import Refusal

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_ALIAS = "index.docker.io"


class Naming:
    """Translates names to repositories and back.

    Args:
        own: `image.serve.name`.

    Raises:
        InvalidConfig: It is not a host.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        try:
            right = Reference.parse(f"{own}/name").domain == own
        except InvalidReference:
            right = False
        if not right:
            raise InvalidConfig(
                f"image.serve.name is {own!r}",
                what="configuration key",
                which="image.serve.name",
                do="give HOST with a dot, HOST:PORT or localhost",
            )

    def repository(self, name: str, namespace: str = "") -> str:
        """Return the repository that a name means.

        Raises:
            Refusal: NAME_INVALID.
        """
        if not _NAME.fullmatch(name):
            raise Refusal("NAME_INVALID", f"{name[:80]!r} is not a valid repository name")
        try:
            if namespace:
                return self._in(namespace, name)
            first, slash, _ = name.partition("/")
            if slash and ("." in first or first == "localhost"):
                return Reference.parse(name).repository
            return self._in(self._own, name)
        except InvalidReference as error:
            raise Refusal("NAME_INVALID", error.message) from error

    @staticmethod
    def _in(domain: str, name: str) -> str:
        reference = Reference.parse(f"{domain}/{name}")
        if reference.domain != domain and domain != _ALIAS:
            raise Refusal("NAME_INVALID", f"{domain[:80]!r} is not a valid host")
        return reference.repository

    def scoped(self, name: str) -> str:
        """Return the repository that a name in the scope of a token means: it may have a host with a port.

        Raises:
            Refusal: NAME_INVALID.
        """
        if ":" not in name.partition("/")[0]:
            return self.repository(name)
        try:
            return Reference.parse(name).repository
        except InvalidReference as error:
            raise Refusal("NAME_INVALID", error.message) from error

    def name(self, repository: str, namespace: str = "") -> str:
        """Return the name that means a repository; empty when only ?ns= reaches it."""
        path = repository.removeprefix(f"{namespace or self._own}/")
        for name in (path, repository):
            try:
                if self.repository(name, namespace) == repository:
                    return name
            except Refusal:
                continue
        return ""


def domain_of(namespace: str) -> str:
    """Return the host that references have for a `ns`."""
    return DEFAULT_DOMAIN if namespace == _ALIAS else namespace
