"""The engine's main job on real input: nginx on a Debian base, made by mmdebstrap and buildah, from a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scow.api.image.v1.image_pb2 import Auth
from scow.contract.errors import RegistryDenied
from tests.support import images, processes
from tests.support.engine import Engine
from tests.support.net import free_port, http_get
from tests.support.registry import Registry

pytestmark = pytest.mark.xdist_group("nginx")


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def nginx(registry: Registry) -> str:
    return images.push(images.nginx(), registry, "web/nginx:1")


def page(url: str) -> str:
    """Return the page, waiting for the server to come up."""
    found: list[bytes] = []

    def fetch() -> bool:
        try:
            found[:] = [http_get(url)]
        except OSError:
            return False
        return True

    processes.wait_for(fetch, f"an answer of {url}")
    return found[0].decode()


def test_by_command_line(engine: Engine, nginx: str, registry: Registry) -> None:
    pulled = engine.cli("pull", nginx, seconds=120).stdout
    assert registry.digest("web/nginx", "1") in pulled
    port = free_port()
    arguments = ("-d", "--name", "web", "-p", f"{port}:80", "-v", "data:/var/www")
    engine.cli("run", *arguments, nginx)
    assert page(f"http://127.0.0.1:{port}/") == images.PAGE
    network = json.loads(engine.cli("inspect", "web").stdout)[0]["NetworkSettings"]
    assert page(f"http://{network['IPAddress']}/") == images.PAGE
    assert page(f"http://{network['Gateway']}:{port}/") == images.PAGE
    assert '"GET / HTTP/1.1" 200' in engine.cli("logs", "web").stdout
    # The volume was filled from the image, and is the container's to change.
    engine.cli("exec", "web", "sh", "-c", "echo changed > /var/www/index.html")
    assert page(f"http://127.0.0.1:{port}/") == "changed\n"
    engine.cli("stop", "web")
    assert engine.cli("inspect", "-f", "{{.State.ExitCode}}", "web").stdout == "0\n"
    engine.cli("rm", "web")
    engine.cli("run", *arguments, nginx)  # the volume kept it
    assert page(f"http://127.0.0.1:{port}/") == "changed\n"
    engine.cli("rm", "-f", "web")
    engine.cli("volume", "rm", "data")


def test_by_library(engine: Engine, nginx: str) -> None:
    port = free_port()
    with engine.client() as client:
        image = client.images.pull(nginx)
        assert image.repo_digests
        web = client.containers.run(
            nginx, name="web", ports=[f"{port}:80"], mounts=["data:/var/www"], detach=True
        )
        assert page(f"http://127.0.0.1:{port}/") == images.PAGE
        [endpoint] = client.containers.get(web.id).endpoints
        assert page(f"http://{endpoint.ip_address}/") == images.PAGE
        client.containers.stop(web.id)
        assert client.containers.wait(web.id).exit_code == 0
        client.containers.remove(web.id)
        client.volumes.remove("data")


def test_the_layers_are_what_was_built(engine: Engine, nginx: str) -> None:
    script = """
        stat -c '%a %u:%g' /usr/local/bin/setuid-cat /opt/opaque
        stat -c %h /opt/one /opt/two
        getfattr --only-values -n user.scow /etc/with-xattr; echo
        ls /opt/opaque; ls -d /var/lib/apt /etc/issue.net 2>/dev/null || echo gone
    """
    engine.cli("pull", "-q", nginx, seconds=120)
    done = engine.cli("run", "--rm", "--entrypoint", "sh", nginx, "-c", script)
    expected = "4755 0:0\n755 0:0\n2\n2\nyes\nshown\ngone\n"
    assert done.stdout == expected


def test_setuid_works_and_can_be_forbidden(engine: Engine, nginx: str) -> None:
    engine.cli("pull", "-q", nginx, seconds=120)
    arguments = ("--rm", "-u", "nobody", "--entrypoint", "/usr/local/bin/setuid-cat")
    assert "root:" in engine.cli("run", *arguments, nginx, "/etc/shadow").stdout
    done = engine.cli(
        "run", *arguments, "--security-opt", "no-new-privileges", nginx, "/etc/shadow", check=False
    )
    assert done.returncode == 1
    assert "Permission denied" in done.stderr


def test_credentials(engine: Engine) -> None:
    with Registry(users={"me": "secret"}) as private, engine.client() as client:
        reference = images.push(images.busybox(), private, "team/box:2", credentials="me:secret")
        for auth in (None, Auth(username="me", password="wrong")):
            with pytest.raises(RegistryDenied, match="team/box"):
                client.images.pull(reference, auth=auth)
        image = client.images.pull(reference, auth=Auth(username="me", password="secret"))
        assert image.config.labels["made.by"] == "buildah"
        client.images.remove(reference)
