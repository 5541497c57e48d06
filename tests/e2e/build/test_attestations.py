"""What images say about themselves: provenance and lists of packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.engine import Engine
from tests.support.registry import Registry

STATUS = """Package: libexample
Status: install ok installed
Architecture: amd64
Version: 1.2-3

"""
DOCKERFILE = """FROM busybox
ARG WHO
COPY status /var/lib/dpkg/status
COPY os-release /etc/os-release
COPY package.json /app/node_modules/thing/package.json
RUN --mount=type=secret,id=token test -n "$(cat /run/secrets/token)" && echo $WHO > /who
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    package = '{"name": "thing", "version": "2.0.0", "license": "MIT"}'
    folder = files(tmp_path, status=STATUS, package_dot_json=package)
    (folder / "os-release").write_text("ID=debian\nVERSION_ID=12\n")
    return folder


def shown(engine: Engine, image: str, field: str) -> Any:
    return json.loads(engine.cli("image", "inspect", "-f", f"{{{{json .{field}}}}}", image).stdout)


def test_provenance_and_packages(engine: Engine, client: Client, context: Path) -> None:
    build(
        client,
        context,
        DOCKERFILE,
        tags=["attested:1"],
        build_args={"WHO": "you", "HTTPS_PROXY": "http://user:proxypw@p"},
        secrets={"token": b"s3cr3t"},
        provenance="max",
        sbom=True,
    )
    provenance = shown(engine, "attested:1", "Provenance")
    request = provenance["buildDefinition"]["externalParameters"]["request"]
    assert request["args"]["build-arg:WHO"] == "you"
    assert request["secrets"] == [{"id": "token"}]
    (base,) = provenance["buildDefinition"]["resolvedDependencies"]
    busybox = client.images.get("busybox")
    assert base["uri"].startswith("pkg:docker/busybox?")
    assert f"sha256:{base['digest']['sha256']}" == busybox.manifest_digest
    steps = provenance["runDetails"]["metadata"]["scow_steps"]
    assert [step["line"] for step in steps] == [3, 4, 5, 6]
    text = json.dumps(
        [each.statement.decode() for each in client.images.attestations("attested:1")]
    )
    assert "s3cr3t" not in text
    assert "proxypw" not in text
    packages = {
        package["name"]: package for package in shown(engine, "attested:1", "SBOM")["packages"]
    }
    assert packages["libexample"]["externalRefs"][0]["referenceLocator"] == (
        "pkg:deb/debian/libexample@1.2-3?arch=amd64&distro=debian-12"
    )
    assert packages["thing"]["licenseDeclared"] == "MIT"
    done = engine.cli("run", "--rm", "--network", "none", "attested:1", "cat", "/who")
    assert done.stdout == "you\n"


def test_the_same_build_says_the_same_again(engine: Engine, client: Client, context: Path) -> None:
    text = "FROM busybox\nCOPY status /var/lib/dpkg/status\n"
    digests = [
        build(
            client,
            context,
            text,
            tags=["again"],
            provenance="max",
            sbom=True,
            source_date_epoch=1_700_000_000,
            no_cache=True,
        ).result.digest
        for _ in range(2)
    ]
    assert digests[0] == digests[1]


def test_the_command_line(engine: Engine, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY status /var/lib/dpkg/status\n")
    engine.cli(
        "build", "-t", "flags:1", "--provenance=mode=min", "--attest", "type=sbom", str(context)
    )
    assert shown(engine, "flags:1", "Provenance")["buildDefinition"]["buildType"]
    assert shown(engine, "flags:1", "SBOM")["spdxVersion"] == "SPDX-2.3"
    engine.cli("build", "-t", "flags:2", "--provenance=false", "--sbom=false", str(context))
    assert shown(engine, "flags:2", "SBOM") == {}
    saved = engine.cli("save", "flags:1", "-o", str(context / "saved.tar"))
    assert saved.returncode == 0
    refused = engine.cli("build", "--provenance=all", str(context), check=False)
    assert refused.returncode == 125


def test_unknown_modes(client: Client, context: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match="provenance"):
        build(client, context, "FROM busybox\n", provenance="all")


def test_they_travel_with_the_image(engine: Engine, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY status /var/lib/dpkg/status\n")
    with Registry() as registry:
        name = f"{registry.address}/attested/box:1"
        flags = ("-t", name, "--provenance", "mode=max", "--sbom", "true", "--push")
        engine.cli("build", *flags, str(context))
        engine.cli("rmi", "-f", name)
        engine.cli("pull", "--quiet", "--all-platforms", name)
        assert shown(engine, name, "SBOM")["spdxVersion"] == "SPDX-2.3"
        assert shown(engine, name, "Provenance")["runDetails"]["metadata"]["scow_steps"]
        engine.cli("rmi", "-f", name)


def test_cached_steps_are_told_as_such(engine: Engine, client: Client, context: Path) -> None:
    text = f"FROM busybox\nRUN echo {context.name} > /a\nCOPY status /b\n"
    cached = []
    for copied in ("1", "2"):
        files(context, status=copied)
        build(client, context, text, tags=["cached:1"], provenance="max")
        about = shown(engine, "cached:1", "Provenance")["runDetails"]
        assert about["builder"]["id"].startswith("https://")
        cached.append([step["cached"] for step in about["metadata"]["scow_steps"]])
    assert cached == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("text", "options", "complete"),
    [
        ("RUN true", {"network": "none"}, True),
        ("RUN true", {}, False),
        ("RUN --network=none true", {}, True),
        ("RUN --network=host true", {"network": "none", "entitlements": ["network.host"]}, False),
        ("COPY status /", {}, False),
        ("RUN --network=none --mount=type=bind,target=/c true", {}, False),
        ("RUN --network=none --mount=type=cache,target=/c true", {}, False),
    ],
)
def test_what_is_known_of_all_inputs(
    engine: Engine,
    client: Client,
    context: Path,
    text: str,
    options: dict[str, Any],
    complete: bool,
) -> None:
    build(client, context, f"FROM busybox\n{text}\n", tags=["known:1"], provenance="min", **options)
    about = shown(engine, "known:1", "Provenance")["runDetails"]["metadata"]
    assert about["scow_completeness"]["resolvedDependencies"] is complete


def test_many_records_of_packages(engine: Engine, client: Client, context: Path) -> None:
    """More paths than a message has room for."""
    make = (
        "for n in $(seq 800); do mkdir -p $d/p$n;"
        """ echo '{"name": "p'$n'", "version": "1"}' > $d/p$n/package.json; done"""
    )
    deep = "/".join(["x" * 250] * 8)
    text = f"FROM busybox\nRUN --network=none d=/{deep}/node_modules; {make}\n"
    build(client, context, text, tags=["many:1"], sbom=True)
    names = {package["name"] for package in shown(engine, "many:1", "SBOM")["packages"]}
    assert {f"p{n}" for n in range(1, 801)} <= names
