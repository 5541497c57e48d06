"""Mirrors and peers: who is asked, in which order, and what is done about one that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import errors
from tests.integration.image import remote
from tests.integration.image.conftest import SETTINGS
from tests.support import images, processes
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.digests import digest_of
from tests.support.imageservice import pull
from tests.support.net import free_port
from tests.support.registry import Registry
from tests.support.service import Service

TAR = layer_tar({"file": b"content" * 1000})


class World:
    """A service with a mirror and a peer for one origin.

    The origin is `127.0.0.1:PORT`; mirror and peer serve the same image.
    """

    def __init__(self, service: Service, *registries: BadRegistry) -> None:
        self.service = service
        self.origin, self.mirror, self.peer = registries

    def pull(self, auth: pb.Auth | None = None) -> pb.Image:
        """Pull the origin's image, and forget it."""
        for registry in (self.origin, self.mirror, self.peer):
            registry.requests.clear()
            registry.authorizations.clear()
        image = pull(self.service, self.origin.reference, auth)
        remote.remove(self.service, image.id)
        return image


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("world") / "scow.toml"
    with BadRegistry([TAR]) as origin, BadRegistry([TAR]) as mirror, BadRegistry([TAR]) as peer:
        file.write_text(
            f'[image]\npeers = ["http://peer:word@{peer.address}"]\nmirror_retry_seconds = 0\n'
            f'[image.registries."{origin.address}"]\nmirrors = ["http://{mirror.address}"]\n'
        )
        with Service("image", settings={**SETTINGS, "SCOW_CONFIG": str(file)}) as service:
            yield World(service, origin, mirror, peer)


@pytest.fixture(autouse=True)
def behave(request: pytest.FixtureRequest) -> None:
    if "world" in request.fixturenames:
        world: World = request.getfixturevalue("world")
        for registry in (world.origin, world.mirror, world.peer):
            registry.misbehave = lambda _: False


def _paths(registry: BadRegistry) -> list[str]:
    return [request.partition("?")[0].rpartition("/")[2] for request in registry.requests]


def test_a_tag_is_the_mirrors_and_digests_are_the_peers(world: World) -> None:
    world.pull()
    assert not world.origin.requests
    assert _paths(world.mirror) == ["1"]
    assert set(_paths(world.peer)) == set(world.origin.blobs)
    assert all(
        f"ns={world.origin.address.replace(':', '%3A')}" in r or f"ns={world.origin.address}" in r
        for r in world.peer.requests
    )


def _refusing(status: int) -> Callable[[Handler], bool]:
    return lambda handler: handler.refuse(status)


def _lying(handler: Handler) -> bool:
    if "/blobs/" not in handler.path:
        return False
    handler.send(b"\0" * len(handler.registry.layers[0]))
    return True


def _cutting(handler: Handler) -> bool:
    layer = handler.registry.layers[0]
    return digest_of(layer) in handler.path and handler.cut(layer, 50)


def _too_long(handler: Handler) -> bool:
    if "/blobs/" not in handler.path:
        return False
    handler.send(handler.registry.layers[0] * 3)
    return True


@pytest.mark.parametrize(
    "wrong",
    [_refusing(404), _refusing(401), _refusing(429), _refusing(500), _lying, _cutting, _too_long],
    ids=["404", "401", "429", "500", "lies", "cuts", "too long"],
)
def test_what_mirror_and_peer_do_not_give_the_origin_gives(
    world: World, wrong: Callable[[Handler], bool]
) -> None:
    world.mirror.misbehave = world.peer.misbehave = wrong
    image = world.pull()
    assert image.diff_ids == [digest_of(TAR)]
    assert world.peer.requests
    assert world.mirror.requests


def test_the_origins_error_is_told(world: World) -> None:
    for registry in (world.origin, world.mirror, world.peer):
        registry.misbehave = _refusing(404)
    with pytest.raises(errors.ManifestNotFound, match=world.origin.address):
        world.pull()


def test_credentials_are_for_their_host_alone(world: World) -> None:
    def ask(handler: Handler) -> bool:
        if handler.headers.get("Authorization"):
            return False
        return handler.refuse(401, WWW_Authenticate='Basic realm="x"')

    world.mirror.misbehave = world.peer.misbehave = world.origin.misbehave = ask
    world.pull(pb.Auth(username="me", password="secret"))
    mine = "Basic bWU6c2VjcmV0"
    assert mine in world.origin.authorizations
    assert not any(world.mirror.authorizations)
    # The peer's own are part of its URL.
    assert set(world.peer.authorizations) <= {"", "Basic cGVlcjp3b3Jk"}
    assert "Basic cGVlcjp3b3Jk" in world.peer.authorizations


def test_a_mirror_that_is_down(tmp_path: Path) -> None:
    """hosts.toml names it; it is asked once, then left alone."""
    with BadRegistry([TAR]) as origin, BadRegistry([TAR]) as mirror:
        folder = tmp_path / origin.address
        folder.mkdir()
        (folder / "hosts.toml").write_text(
            f'server = "http://{origin.address}"\n'
            f'[host."http://127.0.0.1:{free_port()}"]\n'
            f'[host."http://{mirror.address}/v2/deep"]\noverride_path = true\n'
            'capabilities = ["pull"]\n[host."http://' + mirror.address + '/v2/deep".header]\n'
            'x-site = "here"\n'
        )
        seen = []

        def deep(handler: Handler) -> bool:
            seen.append(handler.headers.get("x-site"))
            handler.path = handler.path.replace("/v2/deep/", "/v2/").partition("?")[0]
            return False

        mirror.misbehave = deep
        settings = {**SETTINGS, "SCOW_IMAGE_CERTS_DIR": str(tmp_path)}
        with Service("image", settings=settings) as service:
            assert pull(service, origin.reference).diff_ids == [digest_of(TAR)]
            assert _paths(origin) == ["1"], "the mirror may tell content alone"
            assert set(seen) == {"here"}
            # Read anew for each pull: what is wrong in it is told, with its name.
            (folder / "hosts.toml").write_text('[host."http://x"]\nskip = 1\n')
            with pytest.raises(errors.InvalidConfig, match=r"hosts\.toml"):
                pull(service, origin.reference)


def test_a_pull_through_mirror(tmp_path: Path) -> None:
    """What went through it once is pulled when the registry itself is gone."""
    with (
        Registry() as origin,
        Registry(mirrors=f"http://{origin.address}") as mirror,
    ):
        reference = images.push(images.busybox(), origin, "through:1")
        file = tmp_path / "scow.toml"
        file.write_text(
            f'[image.registries."{origin.address}"]\nmirrors = ["http://{mirror.address}"]\n'
        )
        with Service("image", settings={**SETTINGS, "SCOW_CONFIG": str(file)}) as service:
            first = pull(service, reference)
            remote.remove(service, first.id)
            blobs = mirror.storage / "docker/registry/v2/blobs/sha256"
            processes.wait_for(lambda: len(list(blobs.glob("*/*/data"))) == 3, "the mirror's copy")
            origin.stop()
            assert pull(service, reference).id == first.id
