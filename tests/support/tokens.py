"""A token server as the distribution project describes it, which docker-registry trusts: signed tokens for real.

https://distribution.github.io/distribution/spec/auth/jwt/
"""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.httpserver import HttpHandler, HttpServer
from tests.support.tls import Identity

_IDENTITY_TOKEN = "kept-instead"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(HttpServer):
    """Gives tokens to those who know the password.

    Args:
        identity: What it signs with.
        users: Names and passwords.
        seconds: How long its tokens are good.

    Attributes:
        asked: The scopes of all requests.
        told_seconds: How long it says that they are good.
    """

    def __init__(self, identity: Identity, users: dict[str, str], seconds: int = 60) -> None:
        super().__init__(_Handler)
        self._identity = identity
        self._users = users
        self._seconds = seconds
        self.told_seconds: float = seconds
        self.asked: list[list[str]] = []
        self.realm = f"http://{self.address}/token"

    def config(self) -> dict[str, object]:
        """Return what the registry's configuration says about authorization."""
        return {
            "token": {
                "realm": self.realm,
                "service": "test",
                "issuer": "tests",
                "rootcertbundle": str(self._identity.certificate_file),
            }
        }

    def knows(self, authorization: str) -> bool:
        """Tell whether a header has a name and its password."""
        kind, _, value = authorization.partition(" ")
        if kind != "Basic":
            return False
        name, _, word = base64.b64decode(value).decode().partition(":")
        return self._users.get(name) == word

    def token(self, scopes: list[str]) -> bytes:
        """Return the answer with a token for scopes."""
        self.asked.append(scopes)
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 1)[0], *scope.split(":", 1)[1].rsplit(":", 1)
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        certificate = self._identity.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(certificate).decode()]}
        claims = {
            "iss": "tests",
            "sub": "someone",
            "aud": "test",
            "exp": now + self._seconds,
            "nbf": now - 10,
            "iat": now,
            "jti": str(time.time_ns()),
            "access": access,
        }
        parts = [_encoded(json.dumps(part).encode()) for part in (header, claims)]
        signature = self._identity.key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256()))
        numbers = b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(signature))
        answer: dict[str, Any] = {
            "token": ".".join([*parts, _encoded(numbers)]),
            "expires_in": self.told_seconds,
        }
        return json.dumps(answer).encode()


class _Handler(HttpHandler):
    @property
    def _tokens(self) -> TokenServer:
        found: TokenServer = self.owner
        return found

    def do_GET(self) -> None:
        """Give a token for a password."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if not self._tokens.knows(self.headers.get("Authorization", "")):
            self._send(401, b"{}")
            return
        answer = json.loads(self._tokens.token(query.get("scope", [])))
        if query.get("offline_token") == ["true"]:
            answer["refresh_token"] = _IDENTITY_TOKEN
        self._send(200, json.dumps(answer).encode())

    def do_POST(self) -> None:
        """Give a token for an identity token."""
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("refresh_token") != [_IDENTITY_TOKEN]:
            self._send(401, b"{}")
            return
        self._send(200, self._tokens.token(form.get("scope", [""])[0].split()))

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
