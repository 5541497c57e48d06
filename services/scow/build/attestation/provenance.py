"""How an image was built, as SLSA provenance, version 1.

"min" says what was built, with which inputs, when and by whom; "max" adds the values of build arguments, the Dockerfile
and the steps. Secrets are named, never told; proxies are left out, as they hold credentials.

https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from scow.build.frontend.variables import is_proxy

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://scow.invalid/build/dockerfile/v1"
# Of builders that are given none.
BUILDER = "https://scow.invalid/builder/v1"
Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Material:
    """Something that was built from: an image, a URL, a git repository. `digest` is "sha256:..." or "sha1:..."."""

    uri: str
    digest: str


@dataclass(frozen=True)
class StepRecord:
    """A step as "max" has it.

    Attributes:
        name: "[build 2/5] RUN make", secrets hidden.
        stage, number: Where it is in the Dockerfile: stage, and number within the stage.
        digest: Of its result: the layer's, or empty where it made none.
        line: In the Dockerfile.
        cached: Whether its result was there already.
    """

    name: str
    stage: int
    number: int
    digest: str = ""
    line: int = 0
    cached: bool = False


@dataclass(frozen=True)
class BuildRecord:
    """What is known about a build.

    Attributes:
        builder_id: An address for the builder.
        builder_version: Of scow.
        build_id: Tells the build from others.
        started, finished: RFC 3339.
        reproducible_at: The time of SOURCE_DATE_EPOCH, RFC 3339: stands for both, and no id is told, so that the same
            build says the same on another machine.
        dockerfile: Its content.
        dockerfile_path: Its name.
        context: Where the main context is from; a directory of the client is "".
        target, platform, build_args, labels, network: As they were asked for.
        secrets, ssh: Ids.
        materials: All inputs that have a digest.
        steps: For "max".
        is_complete: Whether `materials` has everything: no step had a network.
    """

    builder_version: str
    build_id: str
    started: str
    finished: str
    dockerfile: bytes
    dockerfile_path: str = "Dockerfile"
    builder_id: str = BUILDER
    reproducible_at: str = ""
    context: str = ""
    target: str = ""
    platform: str = ""
    network: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    ssh: Sequence[str] = ()
    materials: Sequence[Material] = ()
    steps: Sequence[StepRecord] = ()
    is_complete: bool = False


def predicate(record: BuildRecord, mode: Mode) -> dict[str, Any]:
    """Return the predicate of a statement of the type `PREDICATE_TYPE`."""
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": _external(record, mode),
        "internalParameters": {"builderPlatform": record.platform},
        "resolvedDependencies": [_material(material) for material in _sorted(record.materials)],
    }
    times = (record.reproducible_at or record.started, record.reproducible_at or record.finished)
    invocation = record.build_id
    if record.reproducible_at:
        content = json.dumps(definition, sort_keys=True).encode()
        invocation = hashlib.sha256(content).hexdigest()
    details: dict[str, Any] = {
        "builder": {"id": record.builder_id, "version": {"scow": record.builder_version}},
        "metadata": {"invocationId": invocation, "startedOn": times[0], "finishedOn": times[1]},
    }
    details["metadata"]["scow_completeness"] = {
        "request": not (record.secrets or record.ssh) and mode == "max",
        "resolvedDependencies": record.is_complete,
    }
    if mode == "max":
        details["metadata"]["scow_steps"] = [_step(step, record) for step in record.steps]
        details["metadata"]["scow_source"] = {
            "path": record.dockerfile_path,
            "content": base64.b64encode(record.dockerfile).decode(),
        }
    return {"buildDefinition": definition, "runDetails": details}


def _external(record: BuildRecord, mode: Mode) -> dict[str, Any]:
    source: dict[str, Any] = {
        "path": record.dockerfile_path,
        "digest": {"sha256": hashlib.sha256(record.dockerfile).hexdigest()},
    }
    if record.context:
        source["uri"] = without_credentials(record.context)
    args: dict[str, Any] = {}
    if record.target:
        args["target"] = record.target
    if record.platform:
        args["platform"] = record.platform
    if record.network:
        args["network"] = record.network
    if mode == "max":
        given = {key: value for key, value in record.build_args.items() if not is_proxy(key)}
        args |= {f"build-arg:{key}": value for key, value in sorted(given.items())}
        args |= {f"label:{key}": value for key, value in sorted(record.labels.items())}
    request: dict[str, Any] = {"frontend": "dockerfile.v0", "args": args}
    if record.secrets:
        request["secrets"] = [{"id": name} for name in sorted(record.secrets)]
    if record.ssh:
        request["ssh"] = [{"id": name} for name in sorted(record.ssh)]
    return {"configSource": source, "request": request}


def _step(step: StepRecord, record: BuildRecord) -> dict[str, Any]:
    value: dict[str, Any] = {"name": step.name, "stage": step.stage, "number": step.number}
    if step.digest:
        value["result"] = _digest(step.digest)
    if step.line:
        value["line"] = step.line
    if not record.reproducible_at:
        value["cached"] = step.cached
    return value


def _sorted(materials: Sequence[Material]) -> list[Material]:
    return sorted(set(materials), key=lambda material: (material.uri, material.digest))


def _material(material: Material) -> dict[str, Any]:
    return {"uri": without_credentials(material.uri), "digest": _digest(material.digest)}


def _digest(text: str) -> dict[str, str]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}


def image_uri(reference: str, digest: str, platform: str) -> str:
    """Return the package URL of an image.

    Args:
        reference: As people write it, "busybox:1" or "registry:5000/a/b:1".
        digest: Of its manifest.
        platform: "linux/amd64".
    """
    name, _, tag = reference.partition("@")[0].rpartition(":")
    if not name or "/" in tag:
        name, tag = reference.partition("@")[0], ""
    path = "/".join(quote(part, safe=":.") for part in name.split("/"))
    query = f"digest={quote(digest, safe=':')}&platform={quote(platform, safe='')}"
    return f"pkg:docker/{path}" + (f"@{quote(tag)}" if tag else "") + f"?{query}"


def without_credentials(address: str) -> str:
    """Return an address without a user and password, and without the query, where tokens stand."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    if parts.scheme.startswith("pkg"):
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", parts.fragment))
