"""Registries that lie to those who push: where to send to, how much has come, what was stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import errors
from scow.contract.errors import ScowError
from tests.integration.image import remote
from tests.integration.image.conftest import SETTINGS
from tests.support.badregistry import layer_tar
from tests.support.imageservice import import_tar
from tests.support.service import Service
from tests.support.uploadregistry import UploadHandler, UploadRegistry

ME = pb.Auth(username="me", password="secret")


@pytest.fixture(scope="module")
def shared_service() -> Iterator[Service]:
    """A service with little patience."""
    little = {"SCOW_IMAGE_RETRIES": "1", "SCOW_IMAGE_UPLOAD_CHUNK_BYTES": str(1 << 19)}
    with Service("image", settings={**SETTINGS, **little}) as running:
        yield running


@pytest.fixture(scope="module")
def made(shared_service: Service) -> Iterator[pb.Image]:
    """An image of one layer that is sent in parts."""
    yield (imported := import_tar(shared_service, layer_tar({"f": os.urandom(2 << 20)}), "made:1"))
    remote.remove(shared_service, imported.id)


@pytest.fixture
def image(service: Service, made: pb.Image) -> Iterator[pb.Image]:
    with remote.names_of_its_own(service, made) as found:
        yield found


def fails(
    service: Service, image: pb.Image, registry: UploadRegistry, auth: pb.Auth | None = None
) -> ScowError:
    """Push, and return the typed error."""
    with registry:
        reference = f"{registry.address}/up:1"
        remote.tag(service, image.id, reference)
        with pytest.raises(ScowError) as caught:
            remote.push(service, reference, auth)
    assert not isinstance(caught.value, errors.Internal)
    assert caught.value.which
    assert caught.value.metadata["do"]
    assert not registry.manifests, "a manifest was sent before what it names"
    return caught.value


LOCATIONS = [
    "",
    "file:///etc/passwd",
    "unix:///run/scow/image.sock",
    "ftp://127.0.0.1/",
    "http://",
    "http://[::1",
    "http://:80/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:1/x",
    "https://127.0.0.1:1/x",
    "\x00",
    "//",
    "?",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_where_to_send_to(service: Service, image: pb.Image, location: str) -> None:
    registry = UploadRegistry()
    registry.location = lambda _: location
    found = fails(service, image, registry, ME)
    assert isinstance(found, errors.RegistryUnavailable | errors.RegistryRefused)
    assert "secret" not in str(found.metadata) + found.message


def _on(method: str, **headers: str) -> Callable[[UploadHandler], bool]:
    def act(handler: UploadHandler) -> bool:
        if handler.command != method:
            return False
        place = f"/v2/up/blobs/uploads/{next(iter(handler.registry.uploads), 'u0')}"
        return handler.refuse(202, **{"Location": place, **headers})

    return act


REACHED = {
    "more than there is": _on("PATCH", Range="0-99999999"),
    "nothing": _on("PATCH", Range="0-0"),
    "a number without an end": _on("PATCH", Range="0-" + "9" * 5000),
    "no number": _on("PATCH", Range="bytes=zero-ten"),
    "a negative number": _on("PATCH", Range="0--5"),
}


@pytest.mark.parametrize("name", REACHED)
def test_how_much_has_come(service: Service, image: pb.Image, name: str) -> None:
    """The registry takes a part and throws it away; what it says of that changes nothing."""
    registry = UploadRegistry()
    act = REACHED[name]

    def misbehave(handler: UploadHandler) -> bool:
        if handler.command == "PUT" and "digest=" in handler.path:
            return handler.refuse(400)
        return act(handler)

    registry.misbehave = misbehave
    found = fails(service, image, registry)
    assert isinstance(found, errors.RegistryUnavailable | errors.RegistryRefused)
    assert len(registry.asked) < 40


@pytest.mark.parametrize("least", ["9" * 5000, "-5", "1e9", "\xb2", "99999999999999999999"])
def test_least_parts(service: Service, image: pb.Image, least: str) -> None:
    """What cannot be followed is not: parts are as large as they would be, or the whole."""
    with UploadRegistry() as registry:
        registry.least = least
        remote.tag(service, image.id, f"{registry.address}/up:1")
        remote.push(service, f"{registry.address}/up:1")
        assert len(registry.blobs) == 2


def test_another_digest_than_what_was_sent(service: Service, image: pb.Image) -> None:
    registry = UploadRegistry()

    def lie(handler: UploadHandler) -> bool:
        if handler.command != "PUT" or "/manifests/" not in handler.path:
            return False
        return handler.refuse(201, Docker_Content_Digest="sha256:" + "ab" * 32)

    registry.misbehave = lie
    assert isinstance(fails(service, image, registry), errors.DigestMismatch)


def test_redirects_without_end(service: Service, image: pb.Image) -> None:
    registry = UploadRegistry()
    registry.misbehave = lambda handler: (
        handler.command == "PATCH" and handler.refuse(307, Location=handler.path)
    )
    assert "without end" in fails(service, image, registry).message
    assert len(registry.asked) < 60


def test_begun_without_end(service: Service, image: pb.Image) -> None:
    """Each part is taken, and each upload is forgotten."""
    registry = UploadRegistry()

    def forget(handler: UploadHandler) -> bool:
        forgotten = handler.command in ("PUT", "GET") and "/uploads/" in handler.path
        return forgotten and handler.refuse(404)

    registry.misbehave = forget
    fails(service, image, registry)
    assert len(registry.asked) < 60
