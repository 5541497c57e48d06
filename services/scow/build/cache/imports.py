"""`--cache-from`: results that other engines have, found by their keys and fetched one by one when a step needs them.

What comes from elsewhere is kept by another key than what was made here, one with the digest of the cache's
configuration in it: whoever names a cache trusts it for his own builds, and for nobody else's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.layer_pb2 import Layer
from scow.api.types.v1.types_pb2 import Platform
from scow.build.cache import exchange
from scow.build.cache.exchange import Shared
from scow.build.cache.folder import ClientFolder
from scow.build.context.session import Session
from scow.build.export.outputs import domain_of
from scow.build.history.progress import Progress
from scow.build.peers.layers import Layers
from scow.build.policy import SourcePolicy
from scow.build.store import Record
from scow.contract.errors import (
    Cancelled,
    DigestMismatch,
    ImageNotFound,
    InvalidArgument,
    ScowError,
)
from scow.core.times import now_ns
from scow.words import build_cache
from scow.words.build_cache import CacheOption

# Returns the lease by which the layer is kept from now on, and the layer as it is here.
Fetch = Callable[[Layer, str], Awaitable[tuple[Layer, str]]]


def parsed(texts: Sequence[str], parse: Callable[[str], CacheOption]) -> list[CacheOption]:
    """Return options of `--cache-from` or `--cache-to`.

    Raises:
        InvalidArgument: One cannot be read.
    """
    found = []
    for text in texts:
        try:
            found.append(parse(text))
        except ValueError as error:
            raise InvalidArgument(
                f"{error}", what="cache", which=text[:200], do="see docs/guide/caching.md"
            ) from None
    return found


@dataclass(frozen=True)
class _Source:
    """A cache.

    Attributes:
        identity: Digest of its configuration.
        layers: Of its image.
        records: Results, by key.
        fetch: Gets a layer.
    """

    identity: str
    layers: Sequence[Layer]
    records: Mapping[str, Shared]
    fetch: Fetch


@dataclass(frozen=True)
class Found:
    """A result that a cache has, not fetched yet.

    Attributes:
        key: By which it is kept here.
        shared: What the cache says of it.
        layer: Its layer there.
    """

    key: str
    shared: Shared
    layer: Layer | None
    source: _Source

    async def record(self) -> Record:
        """Fetch it; return the record to be kept.

        Raises:
            ScowError: It cannot be had.
        """
        layer, lease = None, ""
        if self.layer is not None:
            layer, lease = await self.source.fetch(self.layer, self.key)
        created, about = self.shared.created_ns, self.shared.description
        return Record(self.key, layer, lease, "regular", about, created, now_ns())


class Imports:
    """The caches of one build.

    Args:
        layers: Who keeps layers.
        session: The conversation with the client.
        progress: Who is told.
        options: Of the build.
        policy: What the build may be made from.
        scratch: A folder for what comes from the client.
    """

    def __init__(
        self,
        layers: Layers,
        session: Session,
        progress: Progress,
        options: pb.BuildOptions,
        policy: SourcePolicy,
        scratch: str,
    ) -> None:
        self._layers = layers
        self._session = session
        self._progress = progress
        self._options = options
        self._policy = policy
        self._scratch = scratch
        self._sources: list[_Source] = []

    async def open(self) -> None:
        """Read what the caches have; one that cannot be had is a warning: the build goes on without it.

        Raises:
            InvalidArgument: An option that cannot be read.
        """
        options = parsed(self._options.cache_from, build_cache.parse_from)
        if self._options.no_cache or self._options.check:
            return
        numbered = [self._open(number, option) for number, option in enumerate(options)]
        for sources in await asyncio.gather(*numbered):
            self._sources += sources

    def find(self, key: str) -> Found | None:
        """Return what a cache has for a key; the first one that has it counts."""
        for source in self._sources:
            shared = source.records.get(key)
            if shared is not None:
                layer = None if shared.layer is None else source.layers[shared.layer]
                return Found(_own_key(source.identity, key), shared, layer, source)
        return None

    def warn(self, message: str) -> None:
        """Tell that a part of a cache cannot be had."""
        self._progress.warn(pb.Warning(message=message))

    async def _open(self, number: int, option: CacheOption) -> list[_Source]:
        name = option.attributes.get("ref") or option.attributes.get("src", "")
        step = self._progress.step(f"importing cache manifest from {name}")
        try:
            with step.running():
                if option.type == "local":
                    return [await self._folder(number, option)]
                platforms: list[Platform | None] = [*self._options.platforms] or [None]
                return [await self._image(name, option, platform) for platform in platforms]
        except Cancelled:
            raise
        except (ScowError, ValueError) as error:
            self.warn(f"no cache is taken from {name}: {error}")
            return []

    async def _image(self, name: str, option: CacheOption, platform: Platform | None) -> _Source:
        """Return the cache in an image: the one that is here, where a name alone was given, or its registry's."""
        self._policy.check_image(name)
        if option.is_named:
            try:
                here = await self._layers.stack(name, platform)
                return _source(here.configuration, here.layers, self._layers.keep)
            except (ImageNotFound, ValueError):
                pass
        auth = await self._session.credentials(domain_of(name))
        there = await self._layers.remote_stack(name, platform, auth)

        async def fetch(layer: Layer, label: str) -> tuple[Layer, str]:
            return layer, await self._layers.fetch(name, auth, layer, label)

        return _source(there.configuration, there.layers, fetch)

    async def _folder(self, number: int, option: CacheOption) -> _Source:
        folder = ClientFolder(self._session, number, self._scratch)
        layers, configuration = await folder.image(option)

        async def fetch(layer: Layer, label: str) -> tuple[Layer, str]:
            written = await self._layers.write(folder.plain(layer), label)
            if written.layer.diff_id != layer.diff_id:
                await self._layers.release(written.lease)
                raise DigestMismatch(
                    f"the cache has {written.layer.diff_id} as {layer.diff_id}",
                    what="layer",
                    which=layer.digest,
                    do="make the cache again",
                )
            return written.layer, written.lease

        return _source(configuration, layers, fetch)


def _own_key(identity: str, key: str) -> str:
    return hashlib.sha256(f"imported.1\n{identity}\n{key}".encode()).hexdigest()


def _source(configuration: bytes, layers: Sequence[Layer], fetch: Fetch) -> _Source:
    """Return a cache.

    Raises:
        ValueError: The configuration is not that of one, or of another image.
    """
    diff_ids, records = exchange.read(configuration)
    if diff_ids != [layer.diff_id for layer in layers]:
        raise ValueError("its configuration names other layers than it has")
    return _Source(hashlib.sha256(configuration).hexdigest(), layers, records, fetch)
