"""Build checks: what is not wrong and probably not meant. The published names and meanings.

https://docs.docker.com/reference/build-checks/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from scow.contract.errors import InvalidDockerfile
from scow.words.dockerfile.problem import did_you_mean, error_at, excerpt
from scow.words.dockerfile.syntax import Dockerfile, Position

_URL = "https://docs.docker.com/reference/build-checks/"
RULES = {
    "StageNameCasing": "names of stages are in lower case",
    "FromAsCasing": "AS is written in the case of its FROM",
    "NoEmptyContinuation": "an instruction has no empty lines in it",
    "ConsistentInstructionCasing": "all instructions are in capitals, or none",
    "DuplicateStageName": "each stage has a name of its own",
    "ReservedStageName": "'context' and 'scratch' are not names of stages",
    "JSONArgsRecommended": "CMD and ENTRYPOINT are JSON arrays, so that signals reach the program",
    "MaintainerDeprecated": "a label has the author, not MAINTAINER",
    "UndefinedArgInFrom": "FROM uses variables that ARG declares",
    "UndefinedVar": "a variable is defined before it is used",
    "WorkdirRelativePath": "the first WORKDIR is absolute, whatever the base image has",
    "MultipleInstructionsDisallowed": "a stage has one CMD, one ENTRYPOINT, one HEALTHCHECK",
    "LegacyKeyValueFormat": "ENV and LABEL are written KEY=VALUE",
    "RedundantTargetPlatform": "--platform=$TARGETPLATFORM is the default",
    "SecretsUsedInArgOrEnv": "secrets are neither ARG nor ENV, which images show",
    "InvalidDefaultArgInFrom": "FROM is valid with the defaults of all ARG",
    "FromPlatformFlagConstDisallowed": "--platform of FROM is a variable",
    "CopyIgnoredFile": "what is copied is not in .dockerignore",
    "InvalidDefinitionDescription": "a comment above FROM or ARG begins with its name",
    "ExposeProtoCasing": "protocols of EXPOSE are in lower case",
    "ExposeInvalidFormat": "EXPOSE has no addresses and no ports of the host",
    "InvalidBaseImagePlatform": "the base image is for the platform that was asked for",
}
# Those that are checked only where they are asked for.
EXPERIMENTAL = ("InvalidDefinitionDescription",)


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    Attributes:
        rule: Name of the check.
        message: What was found.
        position: Where; `excerpt` shows the line.
    """

    rule: str
    message: str
    file: str
    position: Position
    excerpt: str

    @property
    def description(self) -> str:
        """What the check demands."""
        return RULES[self.rule]

    @property
    def url(self) -> str:
        """Where it is described."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.rule)
        return f"{_URL}{words.lower()}/"


@dataclass(frozen=True)
class Policy:
    """Which checks count: the directive `# check=`.

    Attributes:
        skipped: Names, or "all".
        experimental: Names of experimental ones that are asked for, or "all".
        is_error: Whether a finding fails the build.
    """

    skipped: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False

    @classmethod
    def of(cls, dockerfile: Dockerfile) -> Policy:
        """Return what a file says itself.

        Raises:
            InvalidDockerfile: It names no checks, or an option that there is not.
        """
        for directive in dockerfile.directives:
            if directive.name == "check":
                try:
                    return cls.parse(directive.value)
                except ValueError as error:
                    message, _, do = str(error).partition(": ")
                    raise error_at(
                        dockerfile.file, dockerfile.lines, directive.position, message, do
                    ) from None
        return cls()

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read "skip=A,B;experimental=C;error=true".

        Raises:
            ValueError: Not such a text.
        """
        skipped: frozenset[str] = frozenset()
        experimental: frozenset[str] = frozenset()
        is_error = False
        for part in filter(None, text.split(";")):
            key, equals, value = (word.strip() for word in part.partition("="))
            if key == "skip" and equals:
                skipped = _names(value)
            elif key == "experimental" and equals:
                experimental = _names(value)
            elif key == "error" and value.lower() in ("true", "false"):
                is_error = value.lower() == "true"
            else:
                raise ValueError(
                    f"invalid option of checks {part!r}: write skip=NAME,NAME;error=true"
                )
        return cls(skipped, experimental, is_error)

    def counts(self, rule: str) -> bool:
        """Tell whether a check is made."""
        if "all" in self.skipped or rule in self.skipped:
            return False
        return rule not in EXPERIMENTAL or bool({"all", rule} & self.experimental)


def _names(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    for name in sorted(names):
        if name != "all" and name not in RULES:
            raise ValueError(f"there is no check {name!r}: {did_you_mean(name, list(RULES))}")
    return names


@dataclass
class Findings:
    """Collects what checks find, each once."""

    dockerfile: Dockerfile
    policy: Policy
    found: list[Finding] = field(default_factory=list)

    def note(self, rule: str, position: Position, message: str) -> None:
        """Take down a finding, unless its check does not count."""
        assert rule in RULES
        if not self.policy.counts(rule):
            return
        lines = self.dockerfile.lines
        finding = Finding(rule, message, self.dockerfile.file, position, excerpt(lines, position))
        if finding not in self.found:
            self.found.append(finding)

    def sorted(self) -> tuple[Finding, ...]:
        """Return all in the order of the file."""
        return tuple(sorted(self.found, key=lambda finding: (finding.position, finding.rule)))

    def enforce(self) -> None:
        """Fail where the file asks for it and there are findings.

        Raises:
            InvalidDockerfile: For the first of them.
        """
        if self.policy.is_error and self.found:
            first = self.sorted()[0]
            raise _failed(self.dockerfile, first, len(self.found))


def _failed(dockerfile: Dockerfile, first: Finding, count: int) -> InvalidDockerfile:
    others = f", and {count - 1} more findings" if count > 1 else ""
    return error_at(
        dockerfile.file,
        dockerfile.lines,
        first.position,
        f"{first.rule}: {first.message}{others}",
        "mend it, or take error=true out of '# check='",
    )
