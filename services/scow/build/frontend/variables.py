"""The variables of a build: what the builder gives, what ARG before the first FROM makes of it.

https://docs.docker.com/reference/dockerfile/#arg, "Predefined ARGs", "Automatic platform ARGs in the global scope"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scow.words.dockerfile import expansion
from scow.words.dockerfile.expansion import Mode, Scope
from scow.words.dockerfile.problem import Problem, error_in
from scow.words.dockerfile.syntax import Dockerfile
from scow.words.ignore import Ignore
from scow.words.platforms import Platform, parse

# Taken from `--build-arg` without an ARG.
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
# They say what an SBOM covers, and are no variables of programs.
NOT_IN_ENVIRONMENT = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


@dataclass(frozen=True)
class Options:
    """What a build is asked for.

    Attributes:
        target: Name or number of the stage to build; empty is the last.
        build_args: `--build-arg`.
        platform: What is built for, "linux/arm64".
        build_platform: What builds.
        contexts: Names of the named contexts.
        labels: `--label`, set last.
        ignore: What of the main context is left out, for checks.
        all_stages: Whether all stages are looked at, for checks.
    """

    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    platform: str = "linux/amd64"
    build_platform: str = "linux/amd64"
    contexts: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    ignore: Ignore = field(default_factory=Ignore)
    all_stages: bool = False


def global_scope(dockerfile: Dockerfile, options: Options) -> dict[str, str]:
    """Return the variables that FROM may use, and ARG of a stage may ask for.

    Raises:
        InvalidDockerfile: A default that cannot be replaced.
    """
    values = _predefined(options, dockerfile)
    mode = Mode(dockerfile.escape)
    for arg in dockerfile.global_args:
        for pair in arg.pairs:
            given = options.build_args.get(pair.key)
            if given is None and pair.value is not None:
                try:
                    given = expansion.word(pair.value, Scope(values), mode)
                except Problem as problem:
                    at = arg.span.text.find(pair.value)
                    raise error_in(arg.span, dockerfile.lines, problem.moved(at)) from None
            if given is not None:
                values[pair.key] = given
    return values


def _predefined(options: Options, dockerfile: Dockerfile) -> dict[str, str]:
    built_by, built_for = parse(options.build_platform), parse(options.platform)
    target = options.target or dockerfile.stages[-1].name or "default"
    values = {
        **_platform("BUILD", built_by),
        **_platform("TARGET", built_for),
        "TARGETSTAGE": target,
    }
    return {key: options.build_args.get(key, value) for key, value in values.items()}


def _platform(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": "",
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }


def is_proxy(name: str) -> bool:
    """Tell whether a variable is one of the proxies, which hold credentials."""
    return name.lower() in _PROXIES


def proxies(build_args: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that programs get, in both cases: some read these, others those."""
    found: dict[str, str] = {}
    for key, value in sorted(build_args.items()):
        if is_proxy(key):
            found[key.lower()] = found[key.upper()] = value
    return found
