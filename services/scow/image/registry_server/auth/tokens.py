"""Bearer tokens: the registry is its own token service.

https://distribution.github.io/distribution/spec/auth/token/ and .../jwt/ say what requests and tokens look like.
The key lives as long as the process: clients ask for another token when theirs is refused.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from scow.image.registry_server.auth.access import DELETE, PULL, PUSH
from scow.image.registry_server.http.errors import Refusal

SERVICE = "scow"
_ALGORITHM = "HS256"
_ACTIONS = frozenset({PULL, PUSH, DELETE})
# Scopes of one token.
_MOST = 64


@dataclass(frozen=True)
class Grant:
    """What a token says: who has it, and what it lets do by repository."""

    user: str
    actions: Mapping[str, frozenset[str]]


class Tokens:
    """Signs and reads tokens.

    Args:
        seconds: For which one is good.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, int(seconds))
        self._key = secrets.token_bytes(32)

    def sign(self, grant: Grant) -> str:
        """Return a token."""
        now = int(time.time())
        access = [
            {"type": "repository", "name": name, "actions": sorted(actions)}
            for name, actions in grant.actions.items()
        ]
        claims = {
            "iss": SERVICE,
            "aud": SERVICE,
            "sub": grant.user,
            "iat": now,
            "nbf": now,
            "exp": now + self.seconds,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read(self, token: str) -> Grant | None:
        """Return what a token says, None when it is not ours or has expired."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key, [_ALGORITHM], audience=SERVICE, issuer=SERVICE
            )
        except jwt.InvalidTokenError:
            return None
        actions = {entry["name"]: frozenset(entry["actions"]) for entry in claims["access"]}
        return Grant(claims["sub"], actions)


def parse_scopes(
    texts: Iterable[str], repository: Callable[[str], str]
) -> dict[str, frozenset[str]]:
    """Return the actions that are asked for, by repository.

    Args:
        texts: "repository:NAME:pull,push", several in one separated by spaces. Other kinds ("registry:catalog:*")
            are nothing that a token would need to say.
        repository: Returns the repository that a NAME means.

    Raises:
        Refusal: There are too many.
    """
    scopes = [scope for text in texts for scope in text.split()]
    if len(scopes) > _MOST:
        raise Refusal("DENIED", f"a token has at most {_MOST} scopes", status=400)
    found: dict[str, frozenset[str]] = {}
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, listed = rest.rpartition(":")
        if kind != "repository" or not name:
            continue
        actions = frozenset(listed.split(","))
        wanted = _ACTIONS if "*" in actions else actions & _ACTIONS
        key = repository(name)
        found[key] = found.get(key, frozenset()) | wanted
    return found
