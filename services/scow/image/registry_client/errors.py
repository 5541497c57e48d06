"""What goes wrong with registries, as errors with names: no connection, and what statuses mean."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import math

import aiohttp

from scow.contract import strict_json
from scow.contract.errors import (
    ManifestNotFound,
    RegistryDenied,
    RegistryRateLimited,
    RegistryRefused,
    RegistryUnavailable,
    ScowError,
)

# Of an error's body: what is read, and what is shown.
_BODY_MAX = 8192
_SHOWN_MAX = 300
_TEMPORARY = (408, 425)


class Unreachable(RegistryUnavailable):
    """There is no connection to be had."""

    def __init__(self, host: str, error: OSError) -> None:
        super().__init__(
            f"the registry {host} cannot be reached: {error.strerror or error}",
            what="registry",
            which=host,
            do="check its name and the network, then try again",
        )
        self.reason = RegistryUnavailable.reason


class WrongScheme(RegistryUnavailable):
    """The host answers, but not by this scheme."""

    def __init__(self, host: str, error: Exception) -> None:
        super().__init__(
            f"the registry {host} cannot be spoken to: {error or type(error).__name__}",
            what="registry",
            which=host,
            do="check its certificate, or list it in image.insecure_registries",
        )
        self.reason = RegistryUnavailable.reason


class ComeBack(Exception):
    """The registry asks to come back later.

    Args:
        host: Which.
        seconds: When; None where it does not say.
    """

    def __init__(self, host: str, seconds: float | None) -> None:
        super().__init__(host, seconds)
        self.host = host
        self.seconds = seconds

    def limited(self) -> RegistryRateLimited:
        """Return the error of a rate limit that is not waited for, or lasts."""
        when = "later" if self.seconds is None else f"in {self.seconds:.0f} seconds"
        told = {} if self.seconds is None else {"retry_after": f"{self.seconds:.0f}"}
        return RegistryRateLimited(
            f"the registry {self.host} limits the rate of requests",
            what="registry",
            which=self.host,
            do=f"try again {when}, or log in for a higher limit",
            **told,
        )


def unavailable(host: str, error: BaseException) -> RegistryUnavailable:
    """Return the error of a registry that cannot be reached or stalls."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        why = "it did not answer in time"
    else:
        text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
        # Further lines quote what the other side sent.
        why = text.partition("\n")[0] or type(error).__name__
    return RegistryUnavailable(
        f"the registry {host} cannot be reached: {why}",
        what="registry",
        which=host,
        do="check its name and the network, then try again",
    )


def denied(host: str, where: str, *, given: bool, said: str = "") -> RegistryDenied:
    """Return the error of refused or missing credentials.

    Args:
        host: The registry.
        where: What was asked for: a repository's name, or "the catalogue"; empty for the registry itself.
        given: There were credentials.
        said: What the registry tells about it, " (CODE: message)".
    """
    why = "refused the credentials" if given else "wants credentials"
    do = "check them" if given else "log in, or give a user name and password"
    if where:
        do = f"{do}, and check that the repository exists"
    return RegistryDenied(
        f"the registry {host} {why}{f' for {where}' if where else ''}{said}",
        what="repository" if where else "registry",
        which=f"{host}/{where}" if where else host,
        do=do,
    )


async def of_answer(
    host: str, name: str, kind: str, given: bool, response: aiohttp.ClientResponse
) -> ScowError | ComeBack:
    """Return what a status that is not a success means.

    Args:
        host: Who answered.
        name: What was asked for, as people write it.
        kind: "image", "blob", "repository" ...
        given: There were credentials.
        response: The answer; its body tells more.
    """
    status = response.status
    if status in (401, 403):
        said = await _said(response) if status == 403 else ""  # 401 says no more than its code
        where = "" if name == host else name.removeprefix(f"{host}/")
        return denied(host, where, given=given, said=said)
    if status == 429:
        return ComeBack(host, retry_after(response.headers.get("Retry-After", "")))
    said = await _said(response)
    if status == 404:
        return ManifestNotFound(
            f"the registry {host} has no {kind} {name}{said}",
            what=kind,
            which=name,
            do="check the name and the tag",
        )
    if 400 <= status < 500 and status not in _TEMPORARY:
        return RegistryRefused(
            f"the registry {host} refused {name} with HTTP status {status}{said}",
            what=kind,
            which=name,
            do="check whether the registry allows it",
            status=str(status),
        )
    return RegistryUnavailable(
        f"the registry {host} answered with HTTP status {status}{said}",
        what="registry",
        which=host,
        do="try again later, or tell who runs it",
        status=str(status),
    )


async def _said(response: aiohttp.ClientResponse) -> str:
    """Return what the body tells, " (CODE: message)", or nothing."""
    try:
        data = await response.content.read(_BODY_MAX)
        first = strict_json.loads(data)["errors"][0]
        words = f"{first['code']}: {first.get('message') or ''}"
    except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    shown = "".join(letter for letter in words[:_SHOWN_MAX] if letter.isprintable())
    return f" ({shown.strip(': ')})"


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header, which has seconds or a date; None for none (RFC 9110, 10.2.3)."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        seconds = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
