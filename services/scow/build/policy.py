"""The source policy: what builds may be made from. TOML, read again for each build.

::

    default = "reject"

    [images]
    "docker.io/library/*" = "accept"
    "registry.example.com/*" = "pinned"

    [urls]
    "https://files.example.com/*" = "pinned"

    [git]
    "github.com/example/*" = "accept"

A pattern is a name, or one that ends in "/*" and means all below it. The longest that fits decides, and `default` where
none does. "pinned" accepts what has its digest beside it: an image its digest, a URL its --checksum, a git repository a
commit. The trust policy of images counts besides. Anything else in the file is an error, and with an error nothing is
built from elsewhere.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from scow.build.attestation.provenance import without_credentials
from scow.contract.errors import InvalidSourcePolicy, SourceDenied
from scow.words import references

DEFAULT_FILE = Path("/etc/scow/sources.toml")
ACCEPT, REJECT, PINNED = "accept", "reject", "pinned"
_ACTIONS = (ACCEPT, REJECT, PINNED)
_KINDS = {"images": "image", "urls": "URL", "git": "git repository"}
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_SCP = re.compile(r"(?:[^@/]+@)?([A-Za-z0-9.-]+):(?!//)(.+)")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class SourcePolicy:
    """A policy: for each kind of source, what to do by pattern. Without one everything is accepted."""

    default: str = ACCEPT
    rules: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def check_image(self, reference: str) -> None:
        """Check an image that is pulled, a stage's base or a source of files.

        Raises:
            SourceDenied: It may not be used.
        """
        name, _, digest = references.complete(reference).partition("@")
        repository = references.parted(name)[0]
        self._check("images", repository, reference, is_pinned=bool(digest))

    def check_url(self, url: str, *, checksum: str = "") -> None:
        """Check a file that is downloaded; each redirection is another URL to be checked.

        Raises:
            SourceDenied: It may not be used.
        """
        self._check("urls", normal_url(url), without_credentials(url), is_pinned=bool(checksum))

    def check_git(self, url: str, *, checksum: str = "") -> None:
        """Check a git repository, "URL#REF:FOLDER".

        Raises:
            SourceDenied: It may not be used.
        """
        ref = url.partition("#")[2].partition(":")[0]
        is_pinned = bool(checksum) or _COMMIT.fullmatch(ref) is not None
        self._check("git", normal_git(url), without_credentials(url), is_pinned=is_pinned)

    def _check(self, kind: str, name: str, which: str, *, is_pinned: bool) -> None:
        fitting = [pattern for pattern in self.rules.get(kind, {}) if _fits(pattern, name)]
        where = max(fitting, key=len, default="")
        action = self.rules[kind][where] if fitting else self.default
        if action == ACCEPT or (action == PINNED and is_pinned):
            return
        rule = f'{kind}."{where}"' if fitting else "default"
        what = _KINDS[kind]
        says = "allows" if action == PINNED else "does not allow"
        how = " only with its digest" if action == PINNED else ""
        raise SourceDenied(
            f"the source policy {says} the {what} {name[:200]!r}{how}",
            what=what,
            which=which[:200],
            do=f"ask who administers the engine: the rule is {rule}",
            rule=rule,
        )


def _fits(pattern: str, name: str) -> bool:
    if pattern.endswith("/*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def normal_url(url: str) -> str:
    """Return a URL in the form in which it is compared: no user, query or default port, no way around by dots."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{_host(parts)}/{_path(parts)}"


def normal_git(url: str) -> str:
    """Return HOST/PATH of a git repository, whatever way leads to it."""
    address = url.partition("#")[0]
    if "://" not in address and (found := _SCP.fullmatch(address)):
        address = f"ssh://{found[1]}/{found[2]}"
    parts = urlsplit(address)
    return f"{_host(parts)}/{_path(parts).removesuffix('.git')}"


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    try:
        port = parts.port
    except ValueError:  # nothing is there
        port = -1
    return host if port in (None, _PORTS.get(parts.scheme.lower())) else f"{host}:{port}"


def _path(parts: SplitResult) -> str:
    return posixpath.normpath("/" + unquote(parts.path).replace("\\", "/")).strip("/")


def load(file: Path) -> SourcePolicy:
    """Read a policy; the file at the default place need not exist.

    Raises:
        InvalidSourcePolicy: It cannot be read, or a part of it is not understood.
    """
    try:
        values = tomllib.loads(file.read_text())
    except FileNotFoundError:
        if file == DEFAULT_FILE:
            return SourcePolicy()
        raise _invalid(file, "", "does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(file, "", f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:  # its text has line and column
        raise _invalid(file, "", f"is not TOML: {error}") from error
    for key in values:
        if key not in ("default", *_KINDS):
            raise _invalid(file, key, "is unknown: use default, images, urls and git")
    if "default" not in values:
        raise _invalid(file, "default", "is missing: say accept, reject or pinned")
    rules = {kind: _rules(file, kind, values.get(kind, {})) for kind in _KINDS}
    return SourcePolicy(_action(file, "default", values["default"]), rules)


def _rules(file: Path, kind: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _invalid(file, kind, "is not a table")
    rules: dict[str, str] = {}
    for name, action in value.items():
        key = f'{kind}."{name}"'
        if "*" in name.removesuffix("/*") or not name.removesuffix("/*"):
            raise _invalid(file, key, 'is not a pattern: a name, or one that ends in "/*"')
        pattern = _pattern(kind, name)
        if pattern in rules:
            raise _invalid(file, key, f"means {pattern}, which is there twice")
        rules[pattern] = _action(file, key, action)
    return rules


def _pattern(kind: str, name: str) -> str:
    """Return a pattern in the form in which names are compared."""
    below = "/*" if name.endswith("/*") else ""
    bare = name.removesuffix("/*")
    if kind == "urls":
        return normal_url(bare).removesuffix("/") + below
    if kind == "git":
        return normal_git(bare if "://" in bare else f"https://{bare}").removesuffix("/") + below
    return bare + below if below else references.parted(references.complete(bare))[0]


def _action(file: Path, key: str, value: Any) -> str:
    if value not in _ACTIONS:
        raise _invalid(file, key, f"is {value!r}: say accept, reject or pinned")
    return str(value)


def _invalid(file: Path, key: str, why: str) -> InvalidSourcePolicy:
    place = f"{file}: {key}" if key else str(file)
    return InvalidSourcePolicy(
        f"the source policy {place} {why}",
        what="source policy",
        which=place,
        do="mend the file: until then nothing is built from elsewhere",
        **({"key": key} if key else {}),
    )
