"""Who may: basic and token authentication, TLS with a private CA and client certificates, proxies, search."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import errors
from tests.integration.image import remote
from tests.integration.image.conftest import SETTINGS
from tests.support import images
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.imageservice import import_tar, pull
from tests.support.proxies import HttpProxy
from tests.support.registry import Registry
from tests.support.service import Service
from tests.support.tls import FAR_HOST, Authority
from tests.support.tokens import TokenServer

ME = pb.Auth(username="me", password="secret")
WRONG = pb.Auth(username="me", password="wrong")
TAR = layer_tar({"file": b"content" * 1000})
HUB = {
    "num_results": 3,
    "results": [
        {"name": "web", "description": "A web server", "star_count": 900, "is_official": True},
        {"name": "some/web", "description": None, "star_count": 7, "is_automated": True},
        {"name": "other/web", "star_count": 0},
    ],
}


@pytest.fixture
def image(service: Service, pulled: pb.Image) -> Iterator[pb.Image]:
    with remote.names_of_its_own(service, pulled) as found:
        yield found


@pytest.fixture(scope="module")
def pulled(shared_service: Service) -> Iterator[pb.Image]:
    """An image to push."""
    with BadRegistry([TAR]) as origin:
        yield (found := pull(shared_service, origin.reference))
        remote.remove(shared_service, found.id)


def test_basic(service: Service, image: pb.Image) -> None:
    with Registry(users={"me": "secret"}) as registry:
        reference = f"{registry.address}/mine:1"
        remote.tag(service, image.id, reference)
        for auth in (None, WRONG):
            with pytest.raises(errors.RegistryDenied, match=registry.address):
                remote.push(service, reference, auth)
        remote.push(service, reference, ME)
        assert pull(service, reference, ME).id == image.id
        assert remote.login(service, registry.address, ME) == ""
        with pytest.raises(errors.RegistryDenied, match=registry.address) as caught:
            remote.login(service, f"http://{registry.address}/v1/", WRONG)
        assert (caught.value.which, "repository" in str(caught.value)) == (registry.address, False)


def test_tokens(service: Service, image: pb.Image, tmp_path: Path) -> None:
    identity = Authority(tmp_path).issue("tokens")
    with (
        TokenServer(identity, {"me": "secret"}) as tokens,
        Registry(auth=tokens.config()) as registry,
    ):
        remote.tag(service, image.id, f"{registry.address}/first:1")
        with pytest.raises(errors.RegistryDenied):
            remote.push(service, f"{registry.address}/first:1", WRONG)
        remote.push(service, f"{registry.address}/first:1", ME)
        assert tokens.asked == [["repository:first:pull,push"]]
        remote.tag(service, image.id, f"{registry.address}/second:1")
        remote.push(service, f"{registry.address}/second:1", ME)
        assert ["repository:second:pull,push", "repository:first:pull"] in tokens.asked
        token = remote.login(service, registry.address, ME)
        assert token, "an identity token is to be kept instead of the password"
        pull(service, f"{registry.address}/first:1", pb.Auth(token=token))
        assert tokens.asked[-1] == ["repository:first:pull"]
        with pytest.raises(errors.RegistryDenied):
            remote.login(service, registry.address, WRONG)


def test_a_token_that_ends_in_the_middle(service: Service, image: pb.Image, tmp_path: Path) -> None:
    """Each token is of no use as soon as it is there: it is asked for anew, and the push goes on."""
    identity = Authority(tmp_path).issue("tokens")
    with (
        TokenServer(identity, {"me": "secret"}, seconds=1) as tokens,
        Registry(auth=tokens.config()) as registry,
    ):
        tokens.told_seconds = 0.001
        remote.tag(service, image.id, f"{registry.address}/short:1")
        remote.push(service, f"{registry.address}/short:1", ME)
        assert len(tokens.asked) > 3


def test_tls(tmp_path: Path) -> None:
    """A CA that is given is what counts, also on the loopback interface; so are client certificates."""
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    server, client = authority.issue("server"), authority.issue("client")
    certs = tmp_path / "certs.d"
    settings = {**SETTINGS, "SCOW_IMAGE_CERTS_DIR": str(certs)}
    with (
        Registry(identity=server, clients=authority.own.certificate_file) as registry,
        Service("image", settings=settings) as service,
    ):
        images.push_with(authority, client, images.busybox(), registry, "tls:1")
        reference = f"{registry.address}/tls:1"
        folder = certs / registry.address
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(other.own.certificate_file.read_bytes())
        with pytest.raises(errors.RegistryUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            pull(service, reference)
        (folder / "ca.crt").write_bytes(authority.own.certificate_file.read_bytes())
        with pytest.raises(errors.RegistryUnavailable, match=r"(?i)certificate"):
            pull(service, reference)
        (folder / "me.cert").write_bytes(client.certificate_file.read_bytes())
        with pytest.raises(errors.InvalidConfig, match=r"me\.key") as caught:
            pull(service, reference)
        assert caught.value.which == str(folder / "me.cert")
        (folder / "me.key").write_bytes(client.key_file.read_bytes())
        pulled = pull(service, reference)
        again = f"{registry.address}/tls:2"
        remote.tag(service, pulled.id, again)
        remote.push(service, again)
        (folder / "me.key").write_text("no key")
        with pytest.raises(errors.InvalidConfig, match=r"me\.key"):
            pull(service, reference)


def test_tls_on_the_loopback_interface_without_a_ca(tmp_path: Path) -> None:
    """It is found out that a registry does not speak plainly; a CA that comes later counts from then on."""
    certs = tmp_path / "certs.d"
    server = Authority(tmp_path).issue("server")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").own.certificate_file.read_bytes()
    settings = {**SETTINGS, "SCOW_IMAGE_CERTS_DIR": str(certs)}
    with (
        Registry(identity=server) as secure,
        Registry() as plain,
        Service("image", settings=settings) as service,
    ):
        image = import_tar(service, layer_tar({"a": b"1"}), "made:1")
        for registry in (secure, plain):
            reference = f"{registry.address}/found/out:1"
            with pytest.raises(errors.ManifestNotFound):
                pull(service, reference)
            remote.tag(service, image.id, reference)
            remote.push(service, reference)
            assert pull(service, reference).id == image.id
            (certs / registry.address).mkdir(parents=True)
            (certs / registry.address / "ca.crt").write_bytes(other)
            with pytest.raises(errors.RegistryUnavailable):
                pull(service, reference)


def test_proxies_of_the_environment(tmp_path: Path) -> None:
    """Only the proxy knows the names; TLS goes through it as a tunnel."""
    authority = Authority(tmp_path)
    with (
        Registry(identity=authority.issue("server")) as secure,
        BadRegistry([TAR]) as plain,
        HttpProxy({"plain.test:81": plain.address, f"{FAR_HOST}:7": secure.address}) as proxy,
    ):
        folder = tmp_path / f"{FAR_HOST}:7"
        folder.mkdir()
        (folder / "ca.crt").write_bytes(authority.own.certificate_file.read_bytes())
        images.push_with(authority, None, images.busybox(), secure, "proxied:1")
        url = f"http://{proxy.address}"
        settings = {
            **SETTINGS,
            "HTTP_PROXY": url,
            "HTTPS_PROXY": url,
            "NO_PROXY": "",
            "SCOW_IMAGE_CERTS_DIR": str(tmp_path),
            "SCOW_IMAGE_INSECURE_REGISTRIES": "plain.test:81",
        }
        with Service("image", settings=settings) as service:
            pull(service, f"{FAR_HOST}:7/proxied:1")
            assert set(proxy.asked) == {f"CONNECT {FAR_HOST}:7"}
            with pytest.raises(errors.RegistryUnavailable):  # plain HTTP is for those listed
                pull(service, "plain.test:82/bad/image:1")
            pull(service, "plain.test:81/bad/image:1")
            assert "GET http://plain.test:81/v2/bad/image/manifests/1" in proxy.asked


def test_a_catalogue_is_searched(service: Service, image: pb.Image) -> None:
    with Registry() as registry:
        for name in ("team/web", "web", "other"):
            remote.tag(service, image.id, f"{registry.address}/{name}:1")
            remote.push(service, f"{registry.address}/{name}:1")
        found = remote.search(service, f"{registry.address}/web")
        assert found == [f"{registry.address}/team/web", f"{registry.address}/web"]
        assert len(remote.search(service, f"{registry.address}/")) == 3
        assert len(remote.search(service, f"{registry.address}/", limit=1)) == 1
        assert remote.search(service, f"{registry.address}/web", {"is-official": "true"}) == []


def test_lists_in_pages(service: Service) -> None:
    pages = {
        "": (["a", "b"], '</v2/x/tags/list?last=b&n=2>; rel="next"'),
        "b": (["c"], '<tags/list?n=2&last=c>; title="more"; rel=next'),
        "c": (None, ""),
        "far": ([], '<http://elsewhere.test/v2/x/tags/list?last=a>; rel="next"'),
    }
    with BadRegistry([TAR]) as registry:
        first = [""]

        def answer(handler: Handler) -> bool:
            last = re.search(r"last=(\w+)", handler.path)
            names, link = pages[last[1] if last else first[0]]
            data = json.dumps({"name": "x", "tags": names}).encode()
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            if link:
                handler.send_header("Link", link)
            handler.end_headers()
            handler.wfile.write(data)
            return True

        registry.misbehave = answer
        assert remote.tags(service, f"{registry.address}/x") == ["a", "b", "c"]
        first[0] = "far"
        with pytest.raises(errors.RegistryUnavailable, match="another host"):
            remote.tags(service, f"{registry.address}/x")


def test_the_hub_is_searched() -> None:
    with BadRegistry([TAR]) as hub:

        def answer(handler: Handler) -> bool:
            handler.send(json.dumps(HUB).encode(), "application/json")
            return True

        hub.misbehave = answer
        url = f"http://{hub.address}/v1/search"
        with Service("image", settings={**SETTINGS, "SCOW_IMAGE_SEARCH_URL": url}) as service:
            assert remote.search(service, "we b", limit=3) == ["web", "some/web", "other/web"]
            assert hub.requests[0] == "/v1/search?q=we+b&n=3"
            assert remote.search(service, "docker.io/web", {"stars": "7"}) == ["web", "some/web"]
            assert remote.search(service, "web", {"is-official": "true"}) == ["web"]
            assert remote.search(service, "web", {"is-automated": "false"}) == ["web", "other/web"]
            for wrong in ({"stars": "many"}, {"is-official": "maybe"}, {"color": "red"}):
                with pytest.raises(errors.InvalidFilter):
                    remote.search(service, "web", wrong)
            with pytest.raises(errors.InvalidArgument, match="limit"):
                remote.search(service, "web", limit=101)
            HUB["results"] = [1]
            with pytest.raises(errors.RegistryUnavailable):
                remote.search(service, "web")


def test_no_registry(service: Service) -> None:
    with BadRegistry([TAR]) as server:
        server.misbehave = lambda handler: handler.refuse(404)
        with pytest.raises(errors.RegistryRefused, match="not a registry"):
            remote.login(service, server.address, ME)
    with pytest.raises(errors.InvalidReference):
        remote.login(service, "no host", ME)
