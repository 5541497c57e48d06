"""Search: on Docker Hub by its API, in a private registry by its catalogue.

Docker Hub's `v1/search` is what `docker search` asks: https://docs.docker.com/reference/cli/docker/search/
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence

from scow.api.image.v1.registry_pb2 import SearchResult
from scow.api.types.v1.types_pb2 import Filter
from scow.contract import strict_json
from scow.contract.errors import InvalidArgument, InvalidFilter, RegistryUnavailable
from scow.core import filters as filter_rules
from scow.core.config import ImageSection
from scow.image.oci.reference import DEFAULT_DOMAIN, parse_domain
from scow.image.registry_client import catalogue
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials

_FILTERS = frozenset({"is-official", "is-automated", "stars"})
_LIMIT, _LIMIT_MAX = 25, 100
_ANSWER_BYTES = 4 << 20
_DIGITS_MAX = 18


class Searcher:
    """Searches for repositories.

    Args:
        settings: The service's section of the configuration.
        registries: Who is asked.
    """

    def __init__(self, settings: ImageSection, registries: Registries) -> None:
        self._settings = settings
        self._registries = registries

    async def search(
        self, term: str, limit: int, filters: Sequence[Filter], credentials: Credentials
    ) -> list[SearchResult]:
        """Return the repositories that fit.

        Args:
            term: "nginx", or "HOST[:PORT]/web" for a registry's own; "HOST[:PORT]/" for all that it has.
            limit: At most so many, up to 100; 0 means 25.
            filters: "is-official", "is-automated", "stars" (at least).
            credentials: For the registry. Docker Hub's search is asked without.

        Raises:
            InvalidArgument, InvalidFilter: See these classes.
            RegistryDenied, RegistryRateLimited, RegistryUnavailable, RegistryRefused: See these classes.
        """
        wanted = filter_rules.parse(filters, _FILTERS)
        if not 0 <= limit <= _LIMIT_MAX:
            raise InvalidArgument(
                f"the limit {limit} is not between 1 and {_LIMIT_MAX}",
                what="limit",
                which=str(limit),
                do=f"give 1 to {_LIMIT_MAX}",
            )
        fits = _rules(wanted)
        domain, rest = _split(term)
        if not rest and domain == DEFAULT_DOMAIN:
            raise InvalidArgument("the term is empty", what="term", do="say what to look for")
        if domain == DEFAULT_DOMAIN:
            found = await self._on_hub(rest, limit or _LIMIT)
            return [result for result in found if fits(result)][: limit or _LIMIT]
        return await self._in_catalogue(domain, rest, limit or _LIMIT, wanted, credentials)

    async def _on_hub(self, term: str, limit: int) -> list[SearchResult]:
        session = self._registries.searching(self._settings.search_url)
        query = urllib.parse.urlencode({"q": term, "n": str(limit)})

        async def get() -> list[SearchResult]:
            path = f"{session.endpoint.base}?{query}"
            async with session.request("GET", path, (), kind="search") as response:
                data = await session.read(response, _ANSWER_BYTES, "search")
            return _results(data, session.host)

        return await session.patiently(get)

    async def _in_catalogue(
        self,
        domain: str,
        term: str,
        limit: int,
        wanted: Mapping[str, Sequence[str]],
        credentials: Credentials,
    ) -> list[SearchResult]:
        """Return the repositories with the term in their names; a catalogue tells nothing else of them."""
        fits = _rules(wanted)
        session = self._registries.origin(domain, credentials)
        found: list[SearchResult] = []
        async for name in catalogue.repositories(session):
            result = SearchResult(name=f"{domain}/{name}")
            if term in name and fits(result):
                found.append(result)
                if len(found) == limit:
                    break
        return found


def _split(term: str) -> tuple[str, str]:
    """Return registry and term: the first part is a host when it looks like one, as in references."""
    first, slash, rest = term.partition("/")
    if slash and (first == "localhost" or any(sign in first for sign in ".:[")):
        return parse_domain(first), rest.strip("/")
    return DEFAULT_DOMAIN, term.strip("/")


def _rules(wanted: Mapping[str, Sequence[str]]) -> Callable[[SearchResult], bool]:
    """Return what tells whether a result passes the filters."""
    stars = max((_number(value) for value in wanted.get("stars", ())), default=0)
    flags = {
        key: filter_rules.boolean(key, wanted[key])
        for key in ("is-official", "is-automated")
        if key in wanted
    }

    def fits(result: SearchResult) -> bool:
        return (
            result.stars >= stars
            and flags.get("is-official", result.official) == result.official
            and flags.get("is-automated", result.automated) == result.automated
        )

    return fits


def _number(value: str) -> int:
    if not (value.isdecimal() and len(value) <= _DIGITS_MAX):
        raise InvalidFilter(
            f"filter 'stars' has the value {value!r}",
            what="filter",
            which="stars",
            do="give a number",
        )
    return int(value)


def _results(data: bytes, host: str) -> list[SearchResult]:
    try:
        entries = strict_json.loads(data)["results"]
        return [
            SearchResult(
                name=str(entry["name"]),
                description=str(entry.get("description") or ""),
                stars=min(int(entry.get("star_count") or 0), (1 << 31) - 1),
                official=bool(entry.get("is_official")),
                automated=bool(entry.get("is_automated")),
            )
            for entry in entries
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryUnavailable(
            f"{host} answered a search with something else than results",
            what="registry",
            which=host,
            do="try again later",
        ) from error
