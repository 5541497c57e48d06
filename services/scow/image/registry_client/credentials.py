"""What a caller gives to be known by a registry."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from scow.api.image.v1.image_pb2 import Auth


@dataclass(frozen=True)
class Credentials:
    """A name and a password, or a token (an identity token, or a bearer token itself); all empty is anonymous."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, auth: Auth) -> Credentials:
        """Return those of a request."""
        return cls(auth.username, auth.password, auth.token)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.username or self.token)

    def basic(self) -> str:
        """Return the header of basic authentication, or nothing."""
        if not self.username:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


ANONYMOUS = Credentials()
