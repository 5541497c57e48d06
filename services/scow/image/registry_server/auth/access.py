"""Who may do what where: the rules "WHO REPOSITORIES RIGHT" of the configuration."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Sequence
from dataclasses import dataclass

from scow.contract.errors import InvalidConfig
from scow.image.oci.reference import DEFAULT_DOMAIN

PULL, PUSH, DELETE = "pull", "push", "delete"
# The actions of each right.
RIGHTS = {
    PULL: frozenset({PULL}),
    PUSH: frozenset({PULL, PUSH}),
    DELETE: frozenset({PULL, PUSH, DELETE}),
}
ANONYMOUS = "anonymous"
EVERY_USER = "*"
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rule:
    """One rule: a user, "*" or "anonymous"; a pattern of complete repositories; the actions."""

    who: str
    pattern: str
    actions: frozenset[str]

    def fits(self, user: str) -> bool:
        """Tell whether the rule is about a user; the empty name is nobody's."""
        return self.who == ANONYMOUS or (bool(user) and self.who in (EVERY_USER, user))


class Access:
    """All rules.

    Args:
        lines: `image.serve.access`.

    Raises:
        InvalidConfig: A line is none.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._rules = [_parse(line) for line in lines]

    def actions(self, user: str, repository: str) -> frozenset[str]:
        """Return what a user may do in a repository; what the anonymous may, everybody may."""
        found = NOTHING
        for rule in self._rules:
            if rule.fits(user) and fnmatch.fnmatchcase(repository, rule.pattern):
                found |= rule.actions
        return found

    @property
    def all_may_read(self) -> bool:
        """Whether everybody may read everything."""
        return any(
            rule.fits("") and rule.pattern == "*" and PULL in rule.actions for rule in self._rules
        )


def default_rules(name: str, who: str) -> tuple[str, ...]:
    """Return the rules where none are written: nobody may put content under the names of other registries.

    People take what is called docker.io/... for Docker Hub's, and a trust policy may do so.

    Args:
        name: `image.serve.name`.
        who: Those who may enter.
    """
    own = () if name == DEFAULT_DOMAIN else (f"{who} {glob.escape(name)}/* {DELETE}",)
    return (f"{who} * {PULL}", *own)


def _parse(line: str) -> Rule:
    words = line.split()
    if len(words) != 3 or words[2] not in RIGHTS:
        raise InvalidConfig(
            f"image.serve.access has {line!r}",
            what="configuration key",
            which="image.serve.access",
            do='give "WHO REPOSITORIES RIGHT", the right being pull, push or delete',
        )
    return Rule(words[0], words[1], RIGHTS[words[2]])
