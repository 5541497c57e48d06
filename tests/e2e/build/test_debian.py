"""Dockerfiles of real shape over a Debian base: packages, pip, npm, a compiler; what was built runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import dockerfiles, images, processes
from tests.support.busybox import import_busybox
from tests.support.engine import Engine
from tests.support.net import free_port, http_get

# Certificates of the machine: indexes of packages may be reached by way of one that signs for them.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# The last line is what Debian's images for Docker have, too.
BASE = f"""FROM debian:loaded
COPY {CERTIFICATES.name} {CERTIFICATES}
ENV PIP_CERT={CERTIFICATES} NODE_EXTRA_CA_CERTS={CERTIFICATES} npm_config_cafile={CERTIFICATES}
RUN echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/speedup
"""


@pytest.fixture(scope="module")
def debian() -> Iterator[Engine]:
    """An engine of which the image `debian` is the base of the corpus."""
    with Engine() as engine:
        import_busybox(engine)
        loaded = engine.cli("load", "-q", "-i", str(images.debian()), seconds=120).stdout
        engine.cli("tag", loaded.split()[-1], "debian:loaded")
        folder = engine.base / "context"
        folder.mkdir()
        (folder / CERTIFICATES.name).write_bytes(CERTIFICATES.read_bytes())
        (folder / "Dockerfile").write_text(BASE)
        engine.cli("build", "-q", "-t", "debian", str(folder))
        yield engine


def made(engine: Engine, name: str, folder: Path, *flags: str) -> str:
    """Build a Dockerfile of the corpus; return the image's name."""
    context = folder / name
    subprocess.run(["cp", "-a", str(dockerfiles.folder(name)), str(context)], check=True)
    engine.cli("build", "-q", *flags, "-t", f"made/{name}", str(context), seconds=300)
    return f"made/{name}"


def run(engine: Engine, *words: str) -> str:
    return str(engine.cli("run", "--rm", "--network", "none", *words).stdout)


def test_nginx(debian: Engine, tmp_path: Path) -> None:
    image, port = made(debian, "nginx_site", tmp_path), free_port()
    debian.cli("run", "-d", "--name", "web", "-p", f"{port}:80", image)
    found: list[bytes] = []

    def answers() -> bool:
        try:
            found[:] = [http_get(f"http://127.0.0.1:{port}/")]
        except OSError:
            return False
        return True

    try:
        processes.wait_for(answers, "an answer of nginx")
        assert b"<title>site</title>" in found[0]
    finally:
        debian.cli("rm", "-f", "web")


def test_python_and_pip(debian: Engine, tmp_path: Path) -> None:
    image = made(debian, "python_app", tmp_path)
    assert run(debian, image) == "hello\n"
    assert run(debian, image, "python3", "-c", "import idna; print(idna.__version__)") == "3.7\n"
    assert run(debian, image, "id", "-un") == "appuser\n"


def test_node_and_npm(debian: Engine, tmp_path: Path) -> None:
    assert run(debian, made(debian, "node_app", tmp_path)) == "60000\n"


def test_a_compiler_and_two_stages(debian: Engine, tmp_path: Path) -> None:
    image = made(debian, "c_two_stages", tmp_path)
    assert run(debian, image) == "hello\n"
    assert debian.cli("export", debian.cli("create", image).stdout.strip()).stdout
    debian.cli("rm", "-f", *debian.cli("ps", "-aq").stdout.split())


def test_redis(debian: Engine, tmp_path: Path) -> None:
    image = made(debian, "redis", tmp_path)
    debian.cli("run", "-d", "--name", "redis", image, "--save", "")
    try:
        ping = ("exec", "redis", "redis-cli", "ping")
        processes.wait_for(
            lambda: debian.cli(*ping, check=False).stdout == "PONG\n", "an answer of redis"
        )
    finally:
        debian.cli("rm", "-f", "-v", "redis")


def test_postgresql(debian: Engine, tmp_path: Path) -> None:
    image = made(debian, "postgresql", tmp_path)
    debian.cli("run", "-d", "--name", "sql", image)
    try:
        ask = ("exec", "sql", "psql", "-Atc", "SELECT 6 * 7")
        processes.wait_for(
            lambda: debian.cli(*ask, check=False).stdout == "42\n", "an answer of postgresql"
        )
    finally:
        debian.cli("rm", "-f", "-v", "sql")


def test_sixty_steps(debian: Engine, tmp_path: Path) -> None:
    image = made(debian, "sixty_steps", tmp_path)
    assert len(run(debian, image, "cat", "/steps").split()) >= 55


def test_packages_of_debian_are_listed(debian: Engine, tmp_path: Path) -> None:
    image = made(debian, "redis", tmp_path, "--sbom", "true")
    shown = debian.cli("image", "inspect", "-f", "{{json .SBOM}}", image).stdout
    assert '"name": "redis-server"' in shown or '"name":"redis-server"' in shown
