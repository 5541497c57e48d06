"""Manifests, indexes and configurations: Docker's schema 2 and OCI, which differ in names only.

Everything here was written by strangers: each field is checked before it is used.
https://github.com/opencontainers/image-spec (manifest.md, image-index.md, config.md)
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import strict_json
from scow.contract.errors import InvalidManifest, LimitExceeded, PlatformNotFound
from scow.core.image_config import config_json
from scow.core.times import to_rfc3339
from scow.image.content.digests import algorithm_of, digest_of, is_digest
from scow.image.oci.platforms import Platform, canonical, choose

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
# The last two: of what was pushed before there were media types.
_CONFIGS = (OCI_CONFIG, DOCKER_CONFIG, "application/octet-stream", "")
_FOREIGN = (".layer.nondistributable.", ".rootfs.foreign.")
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
_NANO = 1_000_000_000
_SIZE_MAX = (1 << 63) - 1
# Of media types (RFC 6838, 4.2, twice 127 and a slash) and names of platforms.
_WORD_MAX = 255


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says about a blob."""

    digest: str
    size: int
    media_type: str = ""

    @property
    def is_foreign(self) -> bool:
        """Whether it is a layer that may not be distributed: registries need not have it."""
        return any(word in self.media_type for word in _FOREIGN)


@dataclass(frozen=True)
class Manifest:
    """An image's configuration and layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Document:
    """A manifest, index or artifact, byte for byte, with what it names.

    Attributes:
        data: Its bytes.
        digest: Their digest.
        media_type: What it says it is, or as what it was sent.
        is_index: Whether it names manifests.
        parts: What it names: of a manifest the configuration, then the layers.
        platforms: Of an index, the platform of each part, None where it has none.
        subject: Digest of what it refers to.
        artifact_type: What an artifact is for.
    """

    data: bytes
    digest: str
    media_type: str
    is_index: bool
    parts: tuple[Descriptor, ...]
    platforms: tuple[Platform | None, ...] = ()
    subject: str | None = None
    artifact_type: str = ""

    @property
    def is_image(self) -> bool:
        """Tell whether it describes an image, rather than an index or an artifact.

        Signatures and the like may have an image's kind of configuration, but not its kind of layers.
        """
        if self.is_index or self.artifact_type:
            return False
        config, *layers = self.parts
        return config.media_type in _CONFIGS and all(
            not layer.media_type or layer.media_type.startswith(_LAYERS) for layer in layers
        )


@dataclass(frozen=True)
class Configuration:
    """An image's configuration."""

    platform: Platform
    diff_ids: tuple[str, ...]
    created_ns: int
    author: str
    comment: str
    docker_version: str
    config: pb.ImageConfig


def _bad(what: str, why: str) -> NoReturn:
    raise InvalidManifest(
        f"the {what} {why}", what=what, which=why, do="tell who made the image, or use another one"
    )


def _load(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        _bad(what, f"is not JSON: {error}")
    if not isinstance(value, dict):
        _bad(what, "is not a JSON object")
    return value


def parse_descriptor(value: Any, what: str) -> Descriptor:
    """Read what a document says about a part.

    Args:
        value: The descriptor, as JSON gave it.
        what: What it describes, for errors.

    Raises:
        InvalidManifest: It is not a descriptor.
    """
    if not isinstance(value, dict):
        _bad("manifest", f"has a {what} that is not an object")
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        _bad("manifest", f"has a {what} with the digest {digest!r}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _SIZE_MAX:
        _bad("manifest", f"has a {what} with the size {size!r}")
    return Descriptor(digest, size, _word(value, "mediaType"))


def _word(value: dict[str, Any], key: str) -> str:
    """Return a media type or the like; nothing where there is none."""
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > _WORD_MAX:
        _bad("manifest", f"has the {key} {found!r}")
    return found


def is_index(data: bytes, media_type: str) -> bool:
    """Tell whether a document is an index rather than a manifest.

    Raises:
        InvalidManifest: It could be read as both, so that its digest would stand for two images.
    """
    value = _load(data, "manifest")
    if "manifests" in value and ("layers" in value or "config" in value):
        _bad("manifest", "is a manifest and an index at once")
    kind = value.get("mediaType") or media_type
    if kind in INDEXES:
        return True
    return kind not in (OCI_MANIFEST, DOCKER_MANIFEST) and "manifests" in value


def parse_document(data: bytes, media_type: str, max_parts: int, name: str = "") -> Document:
    """Read a manifest, index or artifact.

    Args:
        data: Its bytes.
        media_type: As what it was sent; what it says itself goes first.
        max_parts: How many parts it may have.
        name: What it was asked for by; if that is a digest, its own is made with the same algorithm.

    Raises:
        InvalidManifest: The document is of no known kind.
        LimitExceeded: It names too much.
    """
    value = _load(data, "manifest")
    if _word(value, "mediaType") not in ("", *ACCEPTED):
        _bad("manifest", f"is of the unknown kind {value['mediaType']!r}")
    index = is_index(data, media_type)
    platforms: tuple[Platform | None, ...] = ()
    if index:
        entries = value.get("manifests")
        if not isinstance(entries, list):
            _bad("index", "has no list of manifests")
        _check_count(len(entries), max_parts, "manifests")
        parts = tuple(parse_descriptor(entry, "manifest") for entry in entries)
        platforms = tuple(_platform(entry) for entry in entries)
    else:
        manifest = parse_manifest(data, max_parts)
        parts = (manifest.config, *manifest.layers)
    kind = _word(value, "mediaType") or media_type or (OCI_INDEX if index else OCI_MANIFEST)
    subject = value.get("subject")
    artifact_type = _word(value, "artifactType")
    return Document(
        data,
        digest_of(data, algorithm_of(name)),
        kind,
        index,
        parts,
        platforms,
        parse_descriptor(subject, "subject").digest if subject is not None else None,
        artifact_type,
    )


def _check_count(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise LimitExceeded(
            f"the image has {count} {what}",
            what="image",
            which=what,
            do=f"raise image.max_layers, which is {limit}",
        )


def _platform(entry: Any) -> Platform | None:
    """Return the platform of an index's entry; None for what is for no platform, as attestations are."""
    about = entry.get("platform")
    if not isinstance(about, dict) or about.get("os", "unknown") == "unknown":
        return None
    return canonical(*(_word(about, key) for key in ("os", "architecture", "variant")))


def choose_manifest(data: bytes, wanted: Platform, reference: str) -> Descriptor:
    """Return the manifest of an index that fits a platform best.

    Raises:
        PlatformNotFound: None fits; names those that are there.
        InvalidManifest: It is not an index.
    """
    entries = _load(data, "index").get("manifests")
    if not isinstance(entries, list):
        _bad("index", "has no list of manifests")
    found: list[tuple[Platform, Descriptor]] = []
    for entry in entries:
        descriptor, platform = parse_descriptor(entry, "manifest"), _platform(entry)
        if platform is not None:
            found.append((platform, descriptor))
    index = choose([platform for platform, _ in found], wanted)
    if index is None:
        raise no_variant(reference, wanted, [platform for platform, _ in found])
    return found[index][1]


def no_variant(
    reference: str, wanted: Platform, found: Sequence[Platform | None]
) -> PlatformNotFound:
    """Return the error of an image that is not there for a platform."""
    have = ", ".join(dict.fromkeys(str(platform) for platform in found if platform)) or "none"
    return PlatformNotFound(
        f"{reference} has no variant for {wanted}, only for {have}",
        what="platform",
        which=str(wanted),
        do="choose one of these with --platform, or another image",
    )


def parse_manifest(data: bytes, max_layers: int) -> Manifest:
    """Read a manifest.

    Raises:
        InvalidManifest: The document is invalid.
        LimitExceeded: It has too many layers.
    """
    value = _load(data, "manifest")
    if value.get("schemaVersion") != 2:
        _bad("manifest", f"has the schema version {value.get('schemaVersion')!r}")
    layers = value.get("layers")
    if not isinstance(layers, list):
        _bad("manifest", "has no list of layers")
    _check_count(len(layers), max_layers, "layers")
    config = parse_descriptor(value.get("config"), "configuration")
    return Manifest(config, tuple(parse_descriptor(layer, "layer") for layer in layers))


def parse_configuration(data: bytes) -> Configuration:
    """Read an image's configuration.

    Raises:
        InvalidManifest: The document is invalid.
    """
    try:
        return _configuration(_load(data, "configuration"))
    except (
        ValueError,
        TypeError,
        OverflowError,
    ):  # what no message can hold: huge numbers, half characters
        _bad("configuration", "has a value of a wrong kind")


def _configuration(value: dict[str, Any]) -> Configuration:
    rootfs = value.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(
        isinstance(d, str) and is_digest(d) for d in diff_ids
    ):
        _bad("configuration", "has no list of layer digests")
    inner, steps = value.get("config"), value.get("history")
    if not isinstance(inner, dict | None):
        _bad("configuration", f"has the config {inner!r}")
    if steps and not (isinstance(steps, list) and all(isinstance(step, dict) for step in steps)):
        _bad("configuration", f"has the history {steps!r}")
    return Configuration(
        canonical(*(_text(value, key) for key in ("os", "architecture", "variant"))),
        tuple(diff_ids),
        parse_time(_text(value, "created")),
        _text(value, "author"),
        _text(value, "comment"),
        _text(value, "docker_version"),
        _image_config(inner or {}),
    )


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        _bad("configuration", f"has the {key} {found!r}")
    return found


def _texts(value: dict[str, Any], key: str) -> list[str]:
    found = value.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        _bad("configuration", f"has the {key} {found!r}")
    return found


def _number(value: dict[str, Any], key: str) -> int:
    found = value.get(key)
    if found is None:
        return 0
    if not isinstance(found, int) or isinstance(found, bool):
        _bad("configuration", f"has the {key} {found!r}")
    return found


def _keys(value: dict[str, Any], key: str) -> list[str]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        _bad("configuration", f"has the {key} {found!r}")
    return sorted(found)


def _image_config(value: dict[str, Any]) -> pb.ImageConfig:
    labels = value.get("Labels") or {}
    if not isinstance(labels, dict):
        _bad("configuration", f"has the Labels {labels!r}")
    config = pb.ImageConfig(
        user=_text(value, "User"),
        exposed_ports=_keys(value, "ExposedPorts"),
        env=_texts(value, "Env"),
        entrypoint=_texts(value, "Entrypoint"),
        cmd=_texts(value, "Cmd"),
        volumes=_keys(value, "Volumes"),
        working_dir=_text(value, "WorkingDir"),
        labels={key: _text(labels, key) for key in labels},
        stop_signal=_text(value, "StopSignal"),
        shell=_texts(value, "Shell"),
        on_build=_texts(value, "OnBuild"),
    )
    check = value.get("Healthcheck")
    if check is not None:
        if not isinstance(check, dict):
            _bad("configuration", f"has the Healthcheck {check!r}")
        numbers = {
            name: _number(check, key)
            for name, key in (
                ("interval", "Interval"),
                ("timeout", "Timeout"),
                ("start_period", "StartPeriod"),
                ("start_interval", "StartInterval"),
                ("retries", "Retries"),
            )
        }
        config.healthcheck.MergeFrom(pb.Healthcheck(test=_texts(check, "Test"), **numbers))
    return config


def make_configuration(
    config: pb.ImageConfig,
    platform: Platform,
    diff_ids: Sequence[str],
    created_ns: int,
    comment: str,
) -> bytes:
    """Return the configuration blob of a new image."""
    created = to_rfc3339(created_ns)
    value: dict[str, Any] = {
        "architecture": platform.architecture,
        "os": platform.os,
        **({"variant": platform.variant} if platform.variant else {}),
        "created": created,
        "comment": comment,
        "config": config_json(config),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": created, "comment": comment}],
    }
    return json.dumps(value, separators=(",", ":")).encode()


def make_manifest(
    config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str] | None = None
) -> bytes:
    """Return the manifest blob of a new image."""

    def entry(descriptor: Descriptor) -> dict[str, Any]:
        return {
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "size": descriptor.size,
        }

    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": entry(config),
        "layers": [entry(layer) for layer in layers],
        **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
    }
    return json.dumps(value, separators=(",", ":")).encode()


def parse_time(text: str) -> int:
    """Return nanoseconds since 1970 of a time as RFC 3339; 0 for none.

    Also 0 for a time that 64 bits do not hold: reproducible builds write the year 1.
    """
    if not text:
        return 0
    head, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if digits else ""
    try:
        moment = datetime.datetime.fromisoformat(head + zone)
    except ValueError:
        _bad("configuration", f"has the time {text!r}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = int((moment - epoch).total_seconds())
    ns = seconds * _NANO + int((digits + "0" * 9)[:9])
    return ns if -(1 << 63) <= ns < 1 << 63 else 0
