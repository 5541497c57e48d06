"""The flags of `build`, as data, with the functions that check their values."""

from __future__ import annotations

import os

from scow.cli.flags.container_flags import label_text
from scow.cli.flags.parser import Flag
from scow.client import specs
from scow.words import build_cache

_MODES = ("min", "max")
PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")


def _progress(text: str) -> str:
    if text not in PROGRESS:
        raise ValueError(f"invalid progress mode {text}: use {', '.join(PROGRESS)}")
    return text


def build_arg(text: str) -> tuple[str, str | None]:
    """Return name and value of NAME=VALUE; without a value, that of the environment, or None.

    Raises:
        ValueError: There is no name.
    """
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError(f"invalid build argument {text!r}: use NAME=VALUE")
    return name, value if equals else os.environ.get(name)


def fields(text: str) -> dict[str, str]:
    """Return "type=local,dest=out" as a dictionary.

    Raises:
        ValueError: A part is not KEY=VALUE.
    """
    found = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ValueError(f"invalid value {part!r}: use KEY=VALUE")
        found[key.strip().lower()] = value
    return found


def output(text: str) -> tuple[str, dict[str, str]]:
    """Return the type of an output and what is said of it: a folder alone is "local", "-" a tar.

    Raises:
        ValueError: No such form.
    """
    if text == "-":
        return "tar", {"dest": "-"}
    if "=" not in text:
        return "local", {"dest": text}
    found = fields(text)
    kind = found.pop("type", "")
    if not kind:
        raise ValueError("missing type: use type=local,dest=FOLDER and the like")
    if kind in ("local", "tar") and not found.get("dest"):
        raise ValueError(f"dest is required for {kind} output")
    return kind, found


def secret(text: str) -> dict[str, str]:
    """Return a secret: id=NAME[,src=FILE][,env=VARIABLE].

    Raises:
        ValueError: No such form.
    """
    found = fields(text)
    found["src"] = found.pop("source", found.get("src", ""))
    unknown = found.keys() - {"id", "src", "env", "type"}
    if unknown:
        raise ValueError(f"unexpected key {sorted(unknown)[0]!r}: use id, src, env and type")
    if not found.get("id"):
        raise ValueError("missing id")
    return found


def _on_error(text: str) -> str:
    if text != "shell":
        raise ValueError(f"invalid value {text!r}: use shell")
    return text


def provenance(text: str) -> tuple[str, str]:
    """Return what `--provenance` says: the mode, "min", "max", or "" for none, and the address of the builder.

    Raises:
        ValueError: No such form.
    """
    if "=" not in text:
        return (text.lower(), "") if text.lower() in _MODES else (_mode_of(text), "")
    found = fields(text)
    unknown = found.keys() - {"mode", "builder-id", "disabled"}
    if unknown:
        raise ValueError(f"unexpected key {sorted(unknown)[0]!r}: use mode and builder-id")
    if _boolean(found.get("disabled", "false")):
        return "", ""
    mode = found.get("mode", "min").lower()
    if mode not in _MODES:
        raise ValueError(f"invalid mode {mode!r} of provenance: use min or max")
    return mode, found.get("builder-id", "")


def _mode_of(text: str) -> str:
    return "min" if _boolean(text) else ""


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"invalid value {text!r}: use true or false")
    return text.lower() in ("true", "1")


def attestation(text: str) -> tuple[str, str, str]:
    """Return what `--attest` says: the type, the mode ("" for none), and the address of the builder.

    Raises:
        ValueError: No such form.
    """
    found = fields(text)
    kind, disabled = found.pop("type", ""), found.get("disabled", "false")
    if kind == "sbom":
        return kind, "" if _boolean(disabled) else "true", ""
    if kind != "provenance":
        raise ValueError(f"unknown type of attestation {kind!r}: use sbom or provenance")
    return kind, *provenance(",".join(f"{key}={value}" for key, value in found.items()) or "true")


def named_context(text: str) -> tuple[str, str]:
    """Return name and source of `--build-context`.

    Raises:
        ValueError: No such form.
    """
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise ValueError(
            f"invalid context value {text!r}: use NAME=DIRECTORY, NAME=URL, NAME=docker-image://IMAGE or NAME=oci-layout://DIRECTORY"
        )
    return name, value


def _cache_from(text: str) -> str:
    build_cache.parse_from(text)
    return text


def _cache_to(text: str) -> str:
    build_cache.parse_to(text)
    return text


BUILD_FLAGS = (
    Flag("tag", "t", "list", 'Name and optionally a tag in the "name:tag" format'),
    Flag("file", "f", "string", 'Name of the Dockerfile (default "PATH/Dockerfile")'),
    Flag("build-arg", kind="list", help="Set build-time variables", parse=build_arg),
    Flag(
        "build-context",
        kind="list",
        help="Additional build contexts (e.g., name=path)",
        parse=named_context,
    ),
    Flag("target", kind="string", help="Set the target build stage to build"),
    Flag("label", kind="list", help="Set metadata for an image", parse=label_text),
    Flag("annotation", kind="list", help="Add annotation to the image", parse=label_text),
    Flag("platform", kind="list", help="Set target platform for build"),
    Flag("no-cache", help="Do not use cache when building the image"),
    Flag("no-cache-filter", kind="list", help="Do not cache specified stages"),
    Flag(
        "cache-from",
        kind="list",
        help='External cache sources (e.g., "user/app:cache", "type=local,src=path/to/dir")',
        parse=_cache_from,
    ),
    Flag(
        "cache-to",
        kind="list",
        help='Cache export destinations (e.g., "user/app:cache", "type=local,dest=path/to/dir")',
        parse=_cache_to,
    ),
    Flag("pull", help="Always attempt to pull all referenced images"),
    Flag("quiet", "q", help="Suppress the build output and print image ID on success"),
    Flag(
        "progress",
        kind="string",
        default="auto",
        help="Set type of progress output (auto, plain, tty, quiet, rawjson)",
        parse=_progress,
    ),
    Flag("network", kind="string", help="Set the networking mode for the RUN instructions"),
    Flag(
        "add-host",
        kind="list",
        help="Add a custom host-to-IP mapping (host:ip)",
        parse=specs.parse_extra_host,
    ),
    Flag("ulimit", kind="list", help="Ulimit options", parse=specs.parse_ulimit),
    Flag("shm-size", kind="int", shows="bytes", help="Size of /dev/shm", parse=specs.parse_size),
    Flag("memory", "m", "int", "Memory limit of RUN", shows="bytes", parse=specs.parse_size),
    Flag(
        "memory-swap",
        kind="int",
        shows="bytes",
        help="Memory and swap limit of RUN together: -1 to enable unlimited swap",
        parse=specs.parse_swap,
    ),
    Flag("cpu-shares", "c", "int", "CPU shares of RUN (relative weight)"),
    Flag("cpu-period", kind="int", help="Limit the CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", kind="int", help="Limit the CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpuset-cpus", kind="string", help="CPUs in which to allow execution of RUN (0-3, 0,1)"),
    Flag("cpuset-mems", kind="string", help="MEMs in which to allow execution of RUN (0-3, 0,1)"),
    Flag("cgroup-parent", kind="string", help="Parent cgroup of the RUN instructions"),
    Flag("pids-limit", kind="int", help="Processes that RUN may have (scow's own)"),
    Flag(
        "run-timeout",
        kind="int",
        shows="seconds",
        help="Seconds that one RUN may take (scow's own)",
    ),
    Flag(
        "secret",
        kind="list",
        help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")',
        parse=secret,
    ),
    Flag(
        "ssh",
        kind="list",
        help='SSH agent socket to expose to the build (format: "default|<id>[=<socket>]")',
    ),
    Flag(
        "output",
        "o",
        "list",
        'Output destination (format: "type=local,dest=path")',
        parse=output,
    ),
    Flag("squash", help="Squash newly built layers into a single new layer"),
    Flag("push", help="Push the image to its registry"),
    Flag("iidfile", kind="string", help="Write the image ID to a file"),
    Flag("metadata-file", kind="string", help="Write build result metadata to a file"),
    Flag(
        "provenance",
        kind="string",
        help="Say how the image was built (true, false, mode=min, mode=max)",
        parse=provenance,
    ),
    Flag(
        "sbom",
        kind="string",
        help="Say which packages are in the image (true, false)",
        parse=_boolean,
    ),
    Flag(
        "attest",
        kind="list",
        help='Attestation parameters (format: "type=sbom" or "type=provenance,mode=max")',
        parse=attestation,
    ),
    Flag(
        "allow",
        kind="list",
        help="Allow extra privileges to RUN (network.host, security.insecure, device)",
    ),
    Flag(
        "on-error",
        kind="string",
        help="What to do when a RUN fails: shell opens one in what it left (scow's own)",
        parse=_on_error,
    ),
    Flag("check", help="Only look for mistakes in the Dockerfile"),
    Flag("force-rm", help="Accepted for compatibility: containers of RUN never stay"),
    Flag("rm", default=True, help="Accepted for compatibility: containers of RUN never stay"),
    Flag("load", help="Accepted for compatibility: the image is in the store in any case"),
    Flag("isolation", kind="string", help="Accepted for compatibility: default"),
    Flag("compress", help="Accepted for compatibility"),
)
