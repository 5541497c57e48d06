"""Who asks, and whether they may: `image.serve.authentication`."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from aiohttp import web

from scow.contract.errors import InvalidConfig
from scow.core.config import ServeSection
from scow.image.registry_server.auth.access import (
    ANONYMOUS,
    EVERY_USER,
    NOTHING,
    PULL,
    Access,
    default_rules,
)
from scow.image.registry_server.auth.tokens import SERVICE, Grant, Tokens, parse_scopes
from scow.image.registry_server.auth.users import Users
from scow.image.registry_server.http.bodies import read_small
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.names import Naming

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
# Of the forms that clients send for a token.
_FORM_BYTES = 64 << 10
_FIELDS = 100
NONE, BASIC, TOKEN = "none", "basic", "token"


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Attributes:
        user: Empty for the anonymous.
        grant: What the token lets do; None when there is no token.
    """

    user: str = ""
    grant: Grant | None = None


class Authorization:
    """Decides on requests.

    Args:
        settings: The section of the configuration.
        naming: What names mean.

    Raises:
        InvalidConfig: A value is wrong.
    """

    def __init__(self, settings: ServeSection, naming: Naming) -> None:
        if settings.authentication not in (NONE, BASIC, TOKEN):
            raise InvalidConfig(
                f"image.serve.authentication is {settings.authentication!r}",
                what="configuration key",
                which="image.serve.authentication",
                do="give none, basic or token",
            )
        self._mode = settings.authentication
        self._realm = settings.realm
        self._stall_seconds = settings.stall_seconds
        self._naming = naming
        who = EVERY_USER if self.needed else ANONYMOUS
        self._access = Access(settings.access or default_rules(settings.name, who))
        self._tokens = Tokens(settings.token_seconds)
        self._users: Users | None = None
        if self.needed:
            if settings.htpasswd is None:
                raise InvalidConfig(
                    "image.serve.htpasswd is missing",
                    what="configuration key",
                    which="image.serve.htpasswd",
                    do=f"name the file of users: authentication is {self._mode}",
                )
            self._users = Users(settings.htpasswd)

    @property
    def needed(self) -> bool:
        """Whether callers have to say who they are."""
        return self._mode != NONE

    @property
    def open(self) -> bool:
        """Whether everybody may read everything."""
        return not self.needed and self._access.all_may_read

    def refresh(self) -> None:
        """Read the users again if they have changed.

        Raises:
            InvalidConfig: The file is wrong.
        """
        if self._users is not None:
            self._users.refresh()

    async def caller(self, request: web.Request) -> Caller:
        """Return who sends a request.

        Raises:
            Refusal: UNAUTHORIZED: the credentials are wrong.
        """
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if not self.needed or not scheme:
            return Caller()
        if self._mode == BASIC and scheme.lower() == "basic":
            return Caller(await self._login(request, *_basic(value)))
        if self._mode == TOKEN and scheme.lower() == "bearer":
            grant = self._tokens.read(value.strip())
            if grant is not None:
                return Caller(grant.user, grant)
        raise self._challenge(request)

    async def _login(self, request: web.Request, name: str, password: str) -> str:
        assert self._users is not None
        if name and await self._users.check(name, password, request.remote or ""):
            return name
        raise self._basic_challenge()

    def may(self, caller: Caller, repository: str, action: str) -> bool:
        """Tell whether somebody may do something; a token lets do no more than the rules."""
        actions = self._access.actions(caller.user, repository)
        if self._mode == TOKEN:
            granted = caller.grant.actions.get(repository, NOTHING) if caller.grant else NOTHING
            actions &= granted
        return action in actions

    def check(self, request: web.Request, caller: Caller, repository: str, action: str) -> None:
        """Check that somebody may do something.

        Raises:
            Refusal: UNAUTHORIZED with a challenge, or DENIED when another login is the only help.
        """
        if self.may(caller, repository, action):
            return
        if not self.needed or (self._mode == BASIC and caller.user):
            who = caller.user or ANONYMOUS
            raise Refusal(
                "DENIED", f"{who} may not {action} {repository}: image.serve.access decides"
            )
        actions = PULL if action == PULL else f"{PULL},{action}"
        raise self._challenge(request, f"repository:{repository}:{actions}", caller)

    def check_login(self, request: web.Request, caller: Caller) -> None:
        """Check that somebody has said who they are, or has a token that says that they are nobody.

        Raises:
            Refusal: UNAUTHORIZED.
        """
        if self.needed and not caller.user and caller.grant is None:
            raise self._challenge(request)

    def may_list(self, caller: Caller, repository: str) -> bool:
        """Tell whether somebody may know of a repository."""
        return PULL in self._access.actions(caller.user, repository)

    def _challenge(
        self, request: web.Request, scope: str = "", caller: Caller | None = None
    ) -> Refusal:
        if self._mode == BASIC:
            return self._basic_challenge()
        realm = self._realm or f"{request.scheme}://{_host(request)}/token"
        value = f'Bearer realm="{_quoted(realm)}",service="{SERVICE}"'
        if scope:
            value += f',scope="{scope}"'
        if caller is not None and caller.grant is not None:
            value += ',error="insufficient_scope"'
        return _unauthorized(value)

    @staticmethod
    def _basic_challenge() -> Refusal:
        return _unauthorized(f'Basic realm="{SERVICE}"')

    async def token(self, request: web.Request) -> web.Response:
        """Answer a request for a token: GET with basic authentication, or POST with a form (OAuth 2).

        Raises:
            Refusal: UNAUTHORIZED: name or password are wrong.
        """
        if self._mode != TOKEN:
            raise Refusal("UNSUPPORTED", "this registry gives no tokens", status=404)
        scopes = request.query.getall("scope", [])
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if request.method == "POST":
            form = await self._form(request)
            if form.get("grant_type") != ["password"]:
                raise Refusal("UNSUPPORTED", "the grant_type is not password", status=400)
            name, password = (form.get(key, [""])[0] for key in ("username", "password"))
            scopes += form.get("scope", [])
            user = await self._login(request, name, password)
        else:
            user = ""
            if scheme.lower() == "basic":
                user = await self._login(request, *_basic(value))
        wanted = parse_scopes(scopes, self._naming.scoped)
        granted = {name: self._access.actions(user, name) & wanted[name] for name in wanted}
        return self._token_answer(Grant(user, {name: got for name, got in granted.items() if got}))

    async def _form(self, request: web.Request) -> dict[str, list[str]]:
        data = await read_small(request, self._stall_seconds, _FORM_BYTES, "UNSUPPORTED")
        try:
            return parse_qs(data.decode(), max_num_fields=_FIELDS)
        except ValueError:
            raise Refusal("UNSUPPORTED", "the body is not a form", status=400) from None

    def _token_answer(self, grant: Grant) -> web.Response:
        token = self._tokens.sign(grant)
        return web.json_response(
            {
                "token": token,
                "access_token": token,
                "expires_in": self._tokens.seconds,
                "issued_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            headers={"Cache-Control": "no-store"},
        )


def _basic(value: str) -> tuple[str, str]:
    """Return the name and the password of basic credentials; nobody's when they are nonsense."""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, password = "", ""
    return name, password


def _host(request: web.Request) -> str:
    """Return the Host header of a request (RFC 9110, 7.2), which is told to the client again.

    Raises:
        Refusal: 400: it is not a host.
    """
    if not _HOST.fullmatch(request.host):
        raise Refusal("UNSUPPORTED", "the Host header is not a host", status=400)
    return request.host


def _quoted(text: str) -> str:
    """Return the inside of a quoted string (RFC 9110, 5.6.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unauthorized(challenge: str) -> Refusal:
    return Refusal(
        "UNAUTHORIZED", "authentication is required", headers={"WWW-Authenticate": challenge}
    )
