"""The policy file: TOML, read again for each decision, so that a change counts at once.

::

    default = "reject"

    [repositories]
    "docker.io/library/*" = "accept"

    [repositories."registry.example.com/team/*"]
    policy = "signed"
    keys = ["team.pub", "-----BEGIN PUBLIC KEY-----..."]

A pattern is a repository's name ("nginx" means docker.io/library/nginx), or one that ends in "/*" and means all below
it. The longest that fits decides, and `default` where none does. Of `keys`, which are PEM texts or files beside the
policy, any one suffices. Anything else in the file is an error, and with an error nothing is trusted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from scow.contract.errors import InvalidReference, InvalidTrustPolicy
from scow.core.config import ImageSection
from scow.image.oci.reference import Reference
from scow.image.trust.keys import Key, parse_key

DEFAULT_FILE = ImageSection().trust_policy
ACCEPT, REJECT, SIGNED = "accept", "reject", "signed"
_POLICIES = (ACCEPT, REJECT, SIGNED)
_PEM = "-----BEGIN "


@dataclass(frozen=True)
class Rule:
    """What is demanded of a repository's images.

    Attributes:
        policy: "accept", "reject" or "signed".
        keys: Of which one must have signed.
        where: Its place in the file, for messages.
    """

    policy: str
    keys: tuple[Key, ...] = ()
    where: str = "default"


@dataclass(frozen=True)
class Policy:
    """A policy: rules by pattern."""

    default: Rule = field(default_factory=lambda: Rule(ACCEPT))
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def rule(self, repository: str) -> Rule:
        """Return the rule for a complete repository name."""
        fitting = [pattern for pattern in self.rules if _fits(pattern, repository)]
        return self.rules[max(fitting, key=len)] if fitting else self.default


def _fits(pattern: str, repository: str) -> bool:
    if pattern.endswith("/*"):
        return repository.startswith(pattern.removesuffix("*"))
    return repository == pattern


def load(file: Path) -> Policy:
    """Read a policy file; the one at the default place need not exist, and then everything is accepted.

    Raises:
        InvalidTrustPolicy: It cannot be read, or a part of it is not understood.
    """
    try:
        text = file.read_text()
    except FileNotFoundError:
        if file == DEFAULT_FILE:
            return Policy()
        raise _invalid(file, "", "does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(file, "", f"cannot be read: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # its text has line and column
        raise _invalid(file, "", f"is not TOML: {error}") from error
    return _Reader(file).policy(values)


def _invalid(file: Path, key: str, why: str) -> InvalidTrustPolicy:
    place = f"{file}: {key}" if key else str(file)
    return InvalidTrustPolicy(
        f"the trust policy {place} {why}",
        what="trust policy",
        which=place,
        do="mend the file: until then no image is pulled or run",
        **({"key": key} if key else {}),
    )


class _Reader:
    """Reads the values of a policy file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def _bad(self, key: str, why: str) -> NoReturn:
        raise _invalid(self._file, key, why)

    def policy(self, values: Mapping[str, Any]) -> Policy:
        for key in values:
            if key not in ("default", "repositories"):
                self._bad(key, "is unknown: use default and repositories")
        if "default" not in values:
            self._bad("default", "is missing: say accept, reject or signed")
        repositories = values.get("repositories", {})
        if not isinstance(repositories, dict):
            self._bad("repositories", "is not a table")
        rules: dict[str, Rule] = {}
        for name, value in repositories.items():
            key = f'repositories."{name}"'
            pattern = self._pattern(name, key)
            if pattern in rules:
                self._bad(key, f"means {pattern}, which is there twice")
            rules[pattern] = self._rule(value, key)
        return Policy(self._rule(values["default"], "default"), rules)

    def _pattern(self, name: str, key: str) -> str:
        """Return a pattern in the form in which repositories are compared."""
        below = name.endswith("/*")
        # "HOST/*" and "HOST/PATH/*" become "HOST/x" and "HOST/PATH/x" to be read as names.
        text = name.removesuffix("*") + "x" if below else name
        try:
            reference = Reference.parse(text)
        except InvalidReference as error:
            self._bad(key, f"is not a repository: {error.message}")
        if reference.digest or text.rpartition("/")[2] != text.rpartition("/")[2].partition(":")[0]:
            self._bad(key, "has a tag or digest: name the repository alone")
        if not below:
            return reference.repository
        domain, _, path = text.partition("/")
        if reference.domain not in (domain, domain.removeprefix("index.")):
            self._bad(key, f"does not start with a registry: did you mean docker.io/{name}?")
        return f"{reference.domain}/{path.removesuffix('x')}*"

    def _rule(self, value: Any, key: str) -> Rule:
        table = {"policy": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            self._bad(key, "is neither a word nor a table")
        for inner in table:
            if inner not in ("policy", "keys"):
                self._bad(f"{key}.{inner}", "is unknown: use policy and keys")
        policy = table.get("policy")
        if policy not in _POLICIES:
            self._bad(f"{key}.policy", f"is {policy!r}: use {', '.join(_POLICIES)}")
        keys = table.get("keys", [])
        if not isinstance(keys, list) or bool(keys) != (policy == SIGNED):
            self._bad(f"{key}.keys", "is a list for the policy signed, and for no other")
        return Rule(
            policy, tuple(self._key(x, f"{key}.keys[{n}]") for n, x in enumerate(keys)), key
        )

    def _key(self, value: Any, key: str) -> Key:
        if not isinstance(value, str):
            self._bad(key, "is not text")
        try:
            if value.lstrip().startswith(_PEM):
                return parse_key(value.encode())
            return parse_key((self._file.parent / value).read_bytes())
        except (OSError, ValueError) as error:
            self._bad(key, f"gives no key: {error}")
