"""Dockerfiles and contexts that try to reach the host: each is an attempt that must come to nothing."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.busybox import import_busybox
from tests.support.engine import Engine

SECRET = b"only on the host 5f2c"


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the host with a file, which must be neither read nor changed."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_bytes(SECRET)
    folder.chmod(0o755)
    yield folder
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert (folder / "secret").read_bytes() == SECRET


def attempt(client: Client, context: Path, text: str, **options: object) -> bytes:
    """Build what should fail, or come to nothing; return what the programs said."""
    try:
        return build(client, context, text, no_cache=True, **options).output  # type: ignore[arg-type]
    except errors.ScowError as error:
        assert error.code != errors.Internal.code, error
        return str(error).encode()


@pytest.mark.parametrize(
    "text",
    [
        # Links of a stage, followed by COPY, by a mount, by a destination.
        "FROM busybox AS a\nRUN ln -s HOST/secret /leak\nFROM busybox\nCOPY --from=a /leak /out\nRUN cat /out",
        "FROM busybox AS a\nRUN ln -s HOST /leak\nFROM busybox\nCOPY --from=a /leak/secret /out\nRUN cat /out",
        "FROM busybox AS a\nRUN ln -s HOST /l\nFROM busybox\nRUN --mount=from=a,source=/l,target=/t cat /t/secret",
        "FROM busybox AS a\nRUN ln -s ../../../../../HOST/secret /l\nFROM busybox\nCOPY --from=a /l* /o\nRUN cat /o",
        "FROM busybox\nRUN ln -s HOST /out\nCOPY file /out/written",
        "FROM busybox\nRUN ln -s HOST /out\nCOPY file /out/secret",
        "FROM busybox\nRUN ln -s HOST /out\nWORKDIR /out/made",
        "FROM busybox\nRUN ln -s HOST /out\nADD packed.tar /out/",
        # CVE-2024-23651: links in a cache, followed by another mount of it.
        (
            "FROM busybox\nRUN --mount=type=cache,id=evil,target=/c ln -sfn HOST /c/link\n"
            "RUN --mount=type=cache,id=evil,source=link,target=/t cat /t/secret"
        ),
        "FROM busybox\nRUN --mount=type=cache,id=../../../../../../HOST,target=/c cat /c/secret",
        # CVE-2024-23652: what a mount is on becomes a link, and who cleans up follows it.
        "FROM busybox\nRUN --mount=type=tmpfs,target=/a/secret mv /a /b && ln -s HOST /a",
        "FROM busybox\nRUN --mount=type=cache,target=/a/secret mv /a /b; ln -s HOST /a",
        "FROM busybox\nRUN --mount=type=secret,id=s,target=/a/secret mv /a /b; ln -s HOST /a",
        # Scripts and secrets whose names lead elsewhere.
        "FROM busybox\nRUN <<../../HOST/secret\n#!/bin/sh\n../../HOST/secret",
        "FROM busybox\nRUN --mount=type=secret,id=../../../HOST/secret cat /run/secrets/secret",
        # Paths of contexts.
        "FROM busybox\nCOPY ../../../../../HOST/secret /out\nRUN cat /out",
        "FROM busybox\nCOPY link /out\nRUN cat /out",
        "FROM busybox\nCOPY linked/secret /out\nRUN cat /out",
        "FROM busybox\nRUN --mount=source=linked,target=/t cat /t/secret",
        "FROM busybox\nCOPY --parents ../HOST/./secret /out/\nRUN cat /out/secret",
    ],
)
def test_the_host_is_out_of_reach(
    engine: Engine, client: Client, tmp_path: Path, host: Path, text: str
) -> None:
    context = files(tmp_path / "context", file="x")
    (context / "link").symlink_to(host / "secret")
    (context / "linked").symlink_to(host)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("secret"))
    (context / "packed.tar").write_bytes(stream.getvalue())
    output = attempt(client, context, text.replace("HOST", str(host)), secrets={"s": b"s"})
    assert SECRET not in output


# CVE-2024-23653: what only the policy can allow is asked for by the Dockerfile.
@pytest.mark.parametrize(
    "flags",
    ["--security=insecure", "--network=host", "--device=vendor.com/device=all,required"],
)
def test_what_needs_a_permission(client: Client, tmp_path: Path, flags: str) -> None:
    context = files(tmp_path, file="x")
    with pytest.raises(errors.ScowError) as caught:
        build(client, context, f"FROM busybox\nRUN {flags} true\n")
    assert caught.value.code != errors.Internal.code
    assert caught.value.metadata["do"]


def test_a_link_in_the_place_of_the_dockerfile(engine: Engine, host: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.type, info.linkname = tarfile.SYMTYPE, str(host / "secret")
        tar.addfile(info)
    done = engine.cli("build", "-", check=False, stdin=gzip.compress(stream.getvalue()))
    assert done.returncode == 1
    assert SECRET.decode() not in done.stdout + done.stderr
    assert "not found" in done.stderr


def command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_processes_that_a_step_leaves_end_with_it(client: Client, tmp_path: Path) -> None:
    context = files(tmp_path, file="x")
    text = "FROM busybox\nRUN sleep 1234567 & (trap '' TERM INT; sleep 1234567) & true\n"
    build(client, context, text, no_cache=True)
    left = [command_line(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    assert b"sleep\x001234567\x00" not in left


def test_a_secret_is_in_nothing_that_stays(engine: Engine, client: Client, tmp_path: Path) -> None:
    context = files(tmp_path, file="x")
    secret = b"very-secret-0123456789"
    build(
        client,
        context,
        "FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S "
        'test "$S" = "$(cat /run/secrets/s)" && echo ${#S} > /length\n',
        tags=["secretive"],
        secrets={"s": secret},
        provenance="max",
        sbom=True,
        no_cache=True,
    )
    folders = (engine.root / "build", engine.root / "image", engine.root / "container")
    found = [path for folder in folders for path in folder.rglob("*")]
    kept = [
        path
        for path in found
        if path.is_file() and not path.is_symlink() and secret in path.read_bytes()
    ]
    assert kept == []
    assert secret.decode() not in engine.read_log(1 << 22)
    told = (
        engine.cli("builds", "logs").stdout
        + engine.cli("history", "--no-trunc", "secretive").stdout
    )
    assert secret.decode() not in told


@pytest.fixture
def engine_with_privileges() -> Iterator[Engine]:
    with Engine({"SCOW_BUILD_ALLOW": "security.insecure"}) as engine:
        import_busybox(engine)
        yield engine


def test_privileges_where_engine_and_build_allow_them(
    engine_with_privileges: Engine, tmp_path: Path
) -> None:
    engine = engine_with_privileges
    text = (
        "FROM busybox\nRUN mkdir /m\nRUN --security=insecure mount -t tmpfs none /m && touch /m/x\n"
    )
    (tmp_path / "Dockerfile").write_text(text)
    engine.cli("build", "--allow", "security.insecure", str(tmp_path))
    # Its result is in the cache now, and is not for those who may not have made it.
    refused = engine.cli("build", str(tmp_path), check=False)
    assert refused.returncode == 1
    assert "give --allow security.insecure" in refused.stderr
