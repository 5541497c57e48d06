"""`--cache-from` and `--cache-to`, as BuildKit writes them: "type=registry,ref=NAME", or a name alone.

https://docs.docker.com/build/cache/backends/
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

TYPES = ("registry", "local", "inline")
MODES = ("min", "max")
COMPRESSIONS = ("gzip", "zstd", "uncompressed")
_BOOLEANS = {"true": True, "1": True, "": True, "false": False, "0": False}
_FROM = {
    "registry": {"ref"},
    "local": {"src", "tag", "digest"},
}
_TO = {
    "registry": {
        *("ref", "mode", "compression", "compression-level", "force-compression"),
        *("oci-mediatypes", "image-manifest", "ignore-error"),
    },
    "local": {
        *("dest", "tag", "mode", "compression", "compression-level", "force-compression"),
        *("oci-mediatypes", "image-manifest", "ignore-error"),
    },
    "inline": set[str](),
}
_NEEDED = {"registry": "ref", "local": "src"}


@dataclass(frozen=True)
class CacheOption:
    """Where a cache comes from or goes to.

    Attributes:
        type: "registry", "local" or "inline".
        attributes: All else that was said.
        is_named: Whether there was a name alone, which may be an image of the engine, too.
    """

    type: str
    attributes: Mapping[str, str]
    is_named: bool = False

    @property
    def tag(self) -> str:
        """What a cache is called within a folder."""
        return self.attributes.get("tag") or "latest"

    @property
    def has_all(self) -> bool:
        """Whether it is to have the results of all steps, and not only those that the image is made of."""
        return self.attributes.get("mode") == "max"

    def is_true(self, name: str) -> bool:
        """Tell whether an attribute is there and true."""
        return name in self.attributes and _BOOLEANS[self.attributes[name].lower()]


def parse_from(text: str) -> CacheOption:
    """Return what one `--cache-from` means.

    Raises:
        ValueError: No such form; the message says which.
    """
    return _parse(text, _FROM, _NEEDED)


def parse_to(text: str) -> CacheOption:
    """Return what one `--cache-to` means.

    Raises:
        ValueError: No such form; the message says which.
    """
    option = _parse(text, _TO, {"registry": "ref", "local": "dest"})
    mode = option.attributes.get("mode", "min")
    if mode not in MODES:
        raise ValueError(f"invalid cache mode {mode!r}: use min or max")
    compression = option.attributes.get("compression", "gzip")
    if compression not in COMPRESSIONS:
        raise ValueError(f"invalid compression {compression!r}: use {', '.join(COMPRESSIONS)}")
    for name in ("force-compression", "oci-mediatypes", "image-manifest", "ignore-error"):
        value = option.attributes.get(name, "true")
        if value.lower() not in _BOOLEANS:
            raise ValueError(f"invalid value {value!r} for {name}: use true or false")
    for name in ("oci-mediatypes", "image-manifest"):
        if name in option.attributes and not option.is_true(name):
            raise ValueError(f"{name}=false: caches are OCI images, use true")
    return option


def _parse(text: str, known: Mapping[str, set[str]], needed: Mapping[str, str]) -> CacheOption:
    fields = next(csv.reader([text]), [])
    if len(fields) == 1 and "=" not in fields[0] and fields[0]:
        return CacheOption("registry", {"ref": fields[0]}, is_named=True)
    found = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not key or not equals:
            raise ValueError(f"invalid value {field!r}: use KEY=VALUE")
        found[key.strip().lower()] = value
    kind = found.pop("type", "")
    if not kind:
        raise ValueError("missing type: use type=registry,ref=NAME and the like")
    if kind not in known:
        raise ValueError(f"unknown cache type {kind!r}: use {', '.join(known)}")
    unknown = found.keys() - known[kind]
    if unknown:
        raise ValueError(f"unexpected key {sorted(unknown)[0]!r} for a cache of the type {kind}")
    if kind in needed and not found.get(needed[kind]):
        raise ValueError(f"{needed[kind]} is required for a cache of the type {kind}")
    return CacheOption(kind, found)
