"""Packages of a file system, by the records that package managers leave in it.

::

    records = Records()
    for path in paths:              # all regular files of the image
        records.wants(path)         # whether `add` should be called with its content
    records.add(path, content)
    records.packages()

The records are strangers': what cannot be read is counted, not believed, and everything is bounded.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scow.build.attestation import rpm

# Bytes of a record that are read, and packages that are told of.
RECORD_MAX = 64 << 20
PACKAGES_MAX = 100_000
_TEXT_MAX = 1000
_PYTHON = re.compile(
    r"(?:.*/)?(?:site|dist)-packages/[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)"
)
_NODE = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+/package\.json")
_DPKG = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)")
_APK = re.compile(r"(?:usr/)?lib/apk/db/installed")
_RPM = re.compile(r"(?:var|usr)/lib/(?:sysimage/)?rpm/rpmdb\.sqlite")
_RELEASES = ("etc/os-release", "usr/lib/os-release")


@dataclass(frozen=True, order=True)
class Package:
    """A package.

    Attributes:
        kind: "deb", "apk", "rpm", "pypi" or "npm": the type of its package URL.
        name, version: As its manager has them.
        architecture: As its manager has it, or empty.
        license: As it is declared, or empty.
        supplier: Who maintains it, or empty.
        homepage: An address, or empty.
        source: The source package and its version, "glibc@2.36-9", or empty.
        path: The record that says so.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    license: str = ""
    supplier: str = ""
    homepage: str = ""
    source: str = ""
    path: str = ""


@dataclass(frozen=True)
class Release:
    """The distribution, by os-release(5)."""

    id: str = ""
    version_id: str = ""
    pretty_name: str = ""


@dataclass
class Records:
    """Collects the records of an image.

    Attributes:
        release: The distribution.
        unreadable: Paths of records that could not be read.
    """

    release: Release = field(default_factory=Release)
    unreadable: list[str] = field(default_factory=list)
    _found: set[Package] = field(default_factory=set)

    @staticmethod
    def wants(path: str) -> bool:
        """Tell whether a file is a record; `path` is relative to the root."""
        return path in _RELEASES or _reader(path) is not None

    def add(self, path: str, content: bytes) -> None:
        """Read a record."""
        if path in _RELEASES:
            if not self.release.id or path == _RELEASES[0]:
                self.release = _release(content)
            return
        reader = _reader(path)
        if reader is None:
            return
        try:
            if len(content) > RECORD_MAX:
                raise ValueError("it is too large")
            for package in reader(content, path):
                if package.name and len(self._found) < PACKAGES_MAX:
                    self._found.add(package)
        except (ValueError, KeyError, RecursionError):
            self.unreadable.append(path)

    def packages(self) -> list[Package]:
        """Return all packages, sorted; one that several records tell of alike is there once for each record."""
        return sorted(self._found)


_Reader = Callable[[bytes, str], Iterator[Package]]


def _reader(path: str) -> _Reader | None:
    for pattern, reader in _READERS.items():
        if pattern.fullmatch(path):
            return reader
    return None


def _text(value: object) -> str:
    """Return a text of a record in one line, cut off where it is long; nothing of what is no text."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.split())[:_TEXT_MAX].encode("utf-8", "replace").decode()


def _release(content: bytes) -> Release:
    values: dict[str, str] = {}
    for line in content[:RECORD_MAX].decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values[key.strip()] = _text(value.strip().strip("'\""))
    return Release(
        re.sub(r"[^a-z0-9._-]", "", values.get("ID", "").lower()),
        re.sub(r"[^A-Za-z0-9._-]", "", values.get("VERSION_ID", "")),
        values.get("PRETTY_NAME", ""),
    )


def _paragraphs(content: bytes) -> Iterator[dict[str, str]]:
    """Give the paragraphs of a Debian control file (deb-control(5)); further lines of a field are left out."""
    fields: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            key, _, value = line.partition(":")
            fields[key.lower()] = _text(value)
    if fields:
        yield fields


def _dpkg(content: bytes, path: str) -> Iterator[Package]:
    for fields in _paragraphs(content):
        if fields.get("status", "install ok installed").split()[-1:] != ["installed"]:
            continue
        version = fields.get("version", "")
        source, _, source_version = fields.get("source", "").partition(" ")
        yield Package(
            "deb",
            fields.get("package", ""),
            version,
            fields.get("architecture", ""),
            "",
            fields.get("maintainer", ""),
            fields.get("homepage", ""),
            f"{source}@{source_version.strip('()') or version}" if source else "",
            path,
        )


def _apk(content: bytes, path: str) -> Iterator[Package]:
    for block in content.decode("utf-8", "replace").split("\n\n"):
        fields = dict(line.partition(":")[::2] for line in block.split("\n") if line[1:2] == ":")
        if "P" in fields:
            version = _text(fields.get("V"))
            origin = _text(fields.get("o"))
            yield Package(
                "apk",
                _text(fields["P"]),
                version,
                _text(fields.get("A")),
                _text(fields.get("L")),
                _text(fields.get("m")),
                _text(fields.get("U")),
                f"{origin}@{version}" if origin else "",
                path,
            )


def _rpm(content: bytes, path: str) -> Iterator[Package]:
    for header in rpm.headers(content):
        version = f"{header.version}-{header.release}" if header.release else header.version
        yield Package(
            "rpm",
            _text(header.name),
            _text(f"{header.epoch}:{version}" if header.epoch else version),
            _text(header.architecture),
            _text(header.license),
            _text(header.vendor),
            _text(header.url),
            _text(header.source),
            path,
        )


def _python(content: bytes, path: str) -> Iterator[Package]:
    parser = email.parser.BytesHeaderParser(policy=email.policy.compat32)
    fields = parser.parsebytes(content[: 1 << 20])

    def value(key: str) -> str:
        found = _text(str(fields[key])) if fields[key] is not None else ""
        return "" if found == "UNKNOWN" else found

    yield Package(
        "pypi",
        value("Name"),
        value("Version"),
        "",
        value("License-Expression") or value("License"),
        value("Author-email") or value("Author"),
        value("Home-page"),
        "",
        path,
    )


def _node(content: bytes, path: str) -> Iterator[Package]:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    declared = value.get("license")
    author = value.get("author")
    yield Package(
        "npm",
        _text(value.get("name")),
        _text(value.get("version")),
        "",
        _text(declared.get("type") if isinstance(declared, dict) else declared),
        _text(author.get("name") if isinstance(author, dict) else author),
        _text(value.get("homepage")),
        "",
        path,
    )


_READERS: dict[re.Pattern[str], _Reader] = {
    _DPKG: _dpkg,
    _APK: _apk,
    _RPM: _rpm,
    _PYTHON: _python,
    _NODE: _node,
}
