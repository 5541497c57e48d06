"""What is large or hostile stays the trouble of the one who made it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1 import archive_pb2, archive_pb2_grpc
from scow.contract.errors import ImageUnusable, LimitExceeded
from tests.integration.container.node import Node, fails
from tests.support.archives import oci_image, oci_layout, tar

_LABELS = {"a": "x" * ((1 << 20) - 100)}


def _pages(node: Node) -> Iterator[pb.ListResponse]:
    token = ""
    while True:
        page = node.stub.List(pb.ListRequest(all=True, page_token=token))
        yield page
        token = page.next_page_token
        if not token:
            return


def test_near_maximal_labels_stop_no_list(node: Node) -> None:
    """Twelve such containers made one message of 94 MB, which nobody could receive."""
    made = [node.create("true", labels=_LABELS).id for _ in range(12)]
    try:
        pages = list(_pages(node))
        assert all(page.ByteSize() <= 4 << 20 or len(page.containers) == 1 for page in pages)
        assert {c.id for page in pages for c in page.containers} >= set(made)
        events = node.stub.Watch(pb.WatchRequest(from_revision=1))
        found = [next(events).event for _ in range(12)]
        events.cancel()
        assert all(event.ByteSize() < 8192 for event in found)
    finally:
        for container in made:
            node.remove(container)


def test_labels_beyond_the_bound_are_refused(node: Node) -> None:
    with fails(LimitExceeded):
        node.create("true", labels={"a": "x" * (1 << 20)})


@pytest.mark.parametrize(
    ("which", "values"),
    [
        ("ExposedPorts", {"ExposedPorts": {"1-1000000/tcp": {}}}),
        ("ExposedPorts", {"ExposedPorts": {"\u00b2/tcp": {}}}),
        ("StopSignal", {"StopSignal": "9" * 5000}),
        ("Volumes", {"Volumes": {"relative": {}}}),
        ("User", {"User": "9" * 5000}),
    ],
)
def test_a_hostile_image_is_refused_and_leaves_nothing(
    node: Node, which: str, values: dict[str, object]
) -> None:
    layer = tar({"file": b""})
    manifest, blobs = oci_image([layer], config={"Cmd": ["x"], **values})
    archive = tar(
        oci_layout([(manifest, "application/vnd.oci.image.manifest.v1+json", "hostile:1")], blobs)
    )
    stub = archive_pb2_grpc.ArchiveServiceStub(node._channels["image"])
    opening = archive_pb2.LoadRequest(open=archive_pb2.LoadRequest.Open())
    list(stub.Load(iter([opening, archive_pb2.LoadRequest(chunk=archive)])))
    before = len(node.stub.List(pb.ListRequest(all=True)).containers)
    with fails(ImageUnusable) as caught:
        node.create(image="hostile:1", publish_all=True)
    assert caught[0].which == which
    assert len(node.stub.List(pb.ListRequest(all=True)).containers) == before
