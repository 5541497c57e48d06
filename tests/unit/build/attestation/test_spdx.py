"""Documents of SPDX 2.3."""

from __future__ import annotations

from typing import Any

import pytest

from scow.build.attestation import spdx
from scow.build.attestation.packages import Package, Release

DEBIAN = Release("debian", "12")
DIGEST = "sha256:" + "1" * 64


def made(*packages: Package) -> dict[str, Any]:
    return spdx.document(
        "app:1", packages, DEBIAN, digest=DIGEST, created="2026-01-02T03:04:05Z", tool="scow-1"
    )


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        (
            Package("deb", "libc6", "2.36-9+deb12u7", "amd64", source="glibc@2.36-9"),
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u7?arch=amd64&distro=debian-12&upstream=glibc%402.36-9",
        ),
        (
            Package("rpm", "a", "1:2-3", "x86_64"),
            "pkg:rpm/debian/a@2-3?arch=x86_64&distro=debian-12&epoch=1",
        ),
        (Package("pypi", "Foo_Bar.x", "1"), "pkg:pypi/foo-bar-x@1"),
        (Package("npm", "@scope/x", "1"), "pkg:npm/%40scope/x@1"),
        (Package("npm", "x", ""), "pkg:npm/x"),
    ],
)
def test_package_urls(package: Package, expected: str) -> None:
    assert spdx.purl(package, DEBIAN) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "NOASSERTION"),
        ("MIT", "MIT"),
        ("MIT OR (Apache-2.0 AND BSD-3-Clause)", "MIT OR (Apache-2.0 AND BSD-3-Clause)"),
        ("GPL-2.0-only WITH Linux-syscall-note", "GPL-2.0-only WITH Linux-syscall-note"),
        ("MIT License", None),
        ("MIT AND", None),
        ("(MIT", None),
        ("custom:x", None),
    ],
)
def test_licenses(text: str, expected: str | None) -> None:
    value = made(Package("npm", "x", "1", license=text))
    declared = value["packages"][1]["licenseDeclared"]
    if expected is not None:
        assert declared == expected
        assert "hasExtractedLicensingInfos" not in value
    else:
        assert value["hasExtractedLicensingInfos"] == [
            {"licenseId": declared, "extractedText": text}
        ]


def test_the_document_has_what_the_specification_demands() -> None:
    libc = Package(
        "deb",
        "libc6",
        "2",
        "amd64",
        "",
        "Libc Maintainers <l@x>",
        "https://x/",
        path="var/lib/dpkg/status",
    )
    value = made(libc, Package("deb", "a", "1", supplier="A B"))
    assert (value["spdxVersion"], value["dataLicense"], value["SPDXID"]) == (
        "SPDX-2.3",
        "CC0-1.0",
        "SPDXRef-DOCUMENT",
    )
    assert value["creationInfo"] == {
        "created": "2026-01-02T03:04:05Z",
        "creators": ["Tool: scow-1"],
    }
    identifiers = [package["SPDXID"] for package in value["packages"]]
    assert len(set(identifiers)) == 3
    assert [
        (r["spdxElementId"], r["relationshipType"], r["relatedSpdxElement"])
        for r in value["relationships"]
    ] == [
        ("SPDXRef-DOCUMENT", "DESCRIBES", identifiers[0]),
        (identifiers[0], "CONTAINS", identifiers[1]),
        (identifiers[0], "CONTAINS", identifiers[2]),
    ]
    first = value["packages"][1]
    assert first["supplier"] == "Organization: Libc Maintainers (l@x)"
    assert first["homepage"] == "https://x/"
    assert value["packages"][2]["supplier"] == "Person: A B"
    for package in value["packages"]:
        assert {"name", "downloadLocation", "filesAnalyzed"} <= package.keys()


def test_the_same_packages_give_the_same_document() -> None:
    assert made(Package("npm", "x", "1")) == made(Package("npm", "x", "1"))
    assert made(Package("npm", "x", "1"))["documentNamespace"] != made()["documentNamespace"]
