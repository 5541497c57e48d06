"""A list of packages as an SPDX document, version 2.3, in JSON.

https://spdx.github.io/spdx-spec/v2.3/, https://github.com/package-url/purl-spec
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from scow.build.attestation.packages import Package, Release

PREDICATE_TYPE = "https://spdx.dev/Document"
NO_ASSERTION = "NOASSERTION"
_ROOT = "SPDXRef-DocumentRoot-Image"
# Identifiers of the licence list that packages use. Others are given as their own text.
_LICENSES = frozenset(
    """0BSD AFL-2.1 AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-2.0
    BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause BSD-4-Clause BSL-1.0
    CC-BY-3.0 CC-BY-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1 EPL-1.0
    EPL-2.0 FSFAP GPL-1.0-only GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later HPND ICU
    ISC LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MIT MIT-0
    MPL-1.1 MPL-2.0 NCSA OFL-1.1 OpenSSL PSF-2.0 PostgreSQL Python-2.0 Ruby SISSL TCL UPL-1.0 Unicode-DFS-2016
    Unlicense Vim W3C WTFPL X11 Zlib ZPL-2.1 bzip2-1.0.6 curl libpng-2.0 zlib-acknowledgement""".split()  # noqa: SIM905
)
_EXCEPTIONS = frozenset(
    """Autoconf-exception-3.0 Bison-exception-2.2 Classpath-exception-2.0 GCC-exception-3.1 LLVM-exception
    Linux-syscall-note OpenSSL-exception""".split()  # noqa: SIM905
)
_ADDRESS = re.compile(r"https?://[\x21-\x7e]+")


def document(
    name: str,
    packages: Sequence[Package],
    release: Release,
    *,
    digest: str,
    created: str,
    tool: str,
) -> dict[str, Any]:
    """Return the document.

    Args:
        name: Of the image.
        packages: Sorted.
        release: The distribution.
        digest: "sha256:..." of the image's manifest, by which the document is told from others.
        created: RFC 3339 in UTC, whole seconds.
        tool: Name and version of the program that made it, "scow-1.0".
    """
    licenses: dict[str, str] = {}
    entries = [_package(package, release, licenses) for package in packages]
    root = {
        "SPDXID": _ROOT,
        "name": name,
        "versionInfo": digest,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": NO_ASSERTION,
        "copyrightText": NO_ASSERTION,
    }
    value: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": _namespace(digest, entries),
        "creationInfo": {"created": created, "creators": [f"Tool: {tool}"]},
        "packages": [root, *entries],
        "relationships": _relationships(entry["SPDXID"] for entry in entries),
    }
    if licenses:
        value["hasExtractedLicensingInfos"] = [
            {"licenseId": key, "extractedText": text} for key, text in sorted(licenses.items())
        ]
    return value


def _namespace(digest: str, entries: list[dict[str, Any]]) -> str:
    """Return a name that no other document has, and the same one always has."""
    content = json.dumps([digest, entries], sort_keys=True).encode()
    return f"https://scow.invalid/spdx/{hashlib.sha256(content).hexdigest()}"


def _relationships(identifiers: Iterable[str]) -> list[dict[str, str]]:
    described = {
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": _ROOT,
    }
    contained = [
        {"spdxElementId": _ROOT, "relationshipType": "CONTAINS", "relatedSpdxElement": identifier}
        for identifier in identifiers
    ]
    return [described, *contained]


def _package(package: Package, release: Release, licenses: dict[str, str]) -> dict[str, Any]:
    reference = purl(package, release)
    key = hashlib.sha256(f"{reference}\0{package.path}".encode()).hexdigest()[:16]
    label = re.sub(r"[^A-Za-z0-9.-]", "-", f"{package.kind}-{package.name}")[:80]
    entry: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-{label}-{key}",
        "name": package.name,
        "versionInfo": package.version,
        "supplier": _supplier(package.supplier),
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": False,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": _license(package.license, licenses),
        "copyrightText": NO_ASSERTION,
        "sourceInfo": f"recorded in /{package.path}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": reference,
            }
        ],
    }
    if _ADDRESS.fullmatch(package.homepage):
        entry["homepage"] = package.homepage
    return {key: value for key, value in entry.items() if value != ""}


def _supplier(text: str) -> str:
    """Return a maintainer, "Name <mail>", in the form of SPDX."""
    found = re.fullmatch(r"\"?([^<\"]*?)\"?\s*(?:<([^<>]*)>)?", text)
    if found is None or not found[1]:
        return NO_ASSERTION
    mail = f" ({found[2]})" if found[2] else ""
    kind = (
        "Organization" if re.search(r"(?i)team|group|maintainers|project|inc\b", text) else "Person"
    )
    return f"{kind}: {found[1]}{mail}"


def _license(text: str, licenses: dict[str, str]) -> str:
    """Return an expression of SPDX; other texts get an identifier of their own."""
    if not text:
        return NO_ASSERTION
    tokens = re.findall(r"[^\s()]+|[()]", text)
    known = all(
        token in _LICENSES or token in _EXCEPTIONS or token in ("(", ")", "AND", "OR", "WITH")
        for token in tokens
    )
    if known and _is_expression(tokens):
        return text
    key = f"LicenseRef-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    licenses[key] = text
    return key


def _is_expression(tokens: list[str]) -> bool:
    """Tell whether licences and operators alternate and parentheses are closed."""
    depth, wants_license = 0, True
    for token in tokens:
        if token == "(":
            if not wants_license:
                return False
            depth += 1
        elif token == ")":
            depth -= 1
            if wants_license or depth < 0:
                return False
        elif (token in ("AND", "OR", "WITH")) == wants_license:
            return False
        else:
            wants_license = not wants_license
    return depth == 0 and not wants_license


def purl(package: Package, release: Release) -> str:
    """Return the package URL of a package."""
    name, version = package.name, package.version
    qualifiers: dict[str, str] = {}
    namespace = ""
    if package.kind in ("deb", "apk", "rpm"):
        namespace = release.id or {"deb": "debian", "apk": "alpine", "rpm": "redhat"}[package.kind]
        qualifiers["arch"] = package.architecture
        if release.id and release.version_id:
            qualifiers["distro"] = f"{release.id}-{release.version_id}"
        if package.kind == "rpm":
            epoch, colon, rest = version.partition(":")
            if colon:
                qualifiers["epoch"], version = epoch, rest
    elif package.kind == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    elif name.startswith("@"):
        namespace, _, name = name.partition("/")
    if package.kind == "deb" and package.source:
        qualifiers["upstream"] = package.source
    parts = [part for part in (namespace, name) if part]
    path = "/".join(quote(part, safe="") for part in (package.kind, *parts))
    query = "&".join(
        f"{key}={quote(value, safe='')}" for key, value in sorted(qualifiers.items()) if value
    )
    return (
        f"pkg:{path}"
        + (f"@{quote(version, safe='')}" if version else "")
        + (f"?{query}" if query else "")
    )
