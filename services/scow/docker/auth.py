"""What registries want to know, as clients send it in headers."""

from __future__ import annotations

import base64
import json
from typing import Any

from aiohttp import web

from scow.api.image.v1.image_pb2 import Auth
from scow.contract.errors import InvalidArgument

_HUB = "docker.io"
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


def auth_of(request: web.Request) -> Auth | None:
    """Return what X-Registry-Auth says of one registry.

    Raises:
        InvalidArgument: It is not JSON in base64 of URLs.
    """
    return _auth(_header(request, "X-Registry-Auth"))


def auths_of(request: web.Request) -> dict[str, Auth]:
    """Return what X-Registry-Config says, by registry ("docker.io").

    Raises:
        InvalidArgument: It is not JSON in base64 of URLs.
    """
    found = {}
    for name, value in _header(request, "X-Registry-Config").items():
        auth = _auth(value) if isinstance(value, dict) else None
        if auth is not None:
            host = name.partition("://")[2].partition("/")[0] or name
            found[_HUB if name in _HUB_KEYS else host] = auth
    return found


def _header(request: web.Request, name: str) -> dict[str, Any]:
    text = request.headers.get(name, "")
    if not text:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument(f"invalid {name} header", what="header", which=name)
    return found


def _auth(found: dict[str, Any]) -> Auth | None:
    values = {key.lower(): value for key, value in found.items() if isinstance(value, str)}
    token = values.get("identitytoken", "") or values.get("registrytoken", "")
    username, password = values.get("username", ""), values.get("password", "")
    return Auth(username=username, password=password, token=token) if token or username else None
