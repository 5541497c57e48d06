"""Two nodes: what one has, the other gets from it by digest, and verifies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.digests import digest_of
from tests.support.service import Service
from tests.support.serving import Serving

# Its services are started once.
pytestmark = pytest.mark.xdist_group("serving-peers")


@dataclass
class Site:
    """An origin; a node that serves; a node that asks it first."""

    origin: BadRegistry
    serving: Serving
    node: Service

    def __post_init__(self) -> None:
        self.stub: Any = ImageServiceStub(self.node.channel)

    def pull(self) -> pb.Image:
        request = pb.PullRequest(reference=self.origin.reference)
        image: pb.Image = [*self.stub.Pull(request)][-1].image
        return image


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Serving, Service]]:
    with Serving() as serving:
        settings = {"SCOW_IMAGE_PEERS": f"http://{serving.address}", "SCOW_IMAGE_RETRIES": "1"}
        with Service("image", settings=settings) as node:
            yield serving, node


@pytest.fixture
def site(nodes: tuple[Serving, Service]) -> Iterator[Site]:
    """A site with an image of its own, which the first node has."""
    serving, node = nodes
    with BadRegistry([layer_tar({"data": os.urandom(100_000)})]) as origin:
        serving.pull(origin.reference)
        origin.requests.clear()
        yield Site(origin, serving, node)


def test_the_origin_only_tells_what_a_tag_means(site: Site) -> None:
    def tags_alone(handler: Handler) -> bool:
        return False if handler.path.endswith("/manifests/1") else handler.refuse(503)

    site.origin.misbehave = tags_alone
    image = site.pull()
    assert image.id == site.origin.config
    assert [each for each in site.origin.requests if "/blobs/" in each] == []
    layer = digest_of(site.origin.layers[0])
    assert f'/v2/bad/image/blobs/{layer}", "status": 200' in site.serving.log.read_text()


def test_wrong_bytes_of_a_peer_are_not_taken(site: Site) -> None:
    layer = digest_of(site.origin.layers[0])
    file = site.serving.data / "blobs/sha256" / layer.removeprefix("sha256:")
    file.write_bytes(b"x" * file.stat().st_size)
    image = site.pull()
    assert image.id == site.origin.config
    assert [each.partition("?")[0] for each in site.origin.requests if "/blobs/" in each] == [
        f"/v2/bad/image/blobs/{layer}"
    ]
    here = site.node.data / "blobs/sha256" / layer.removeprefix("sha256:")
    assert here.read_bytes() == site.origin.layers[0]


def test_what_a_peer_has_not(site: Site) -> None:
    site.serving.stub.Remove(pb.RemoveRequest(image=site.origin.reference))
    assert site.pull().id == site.origin.config
