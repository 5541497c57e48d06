"""Lists of thousands of images take a handful of queries, and pages do not read the whole store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import InvalidFilter
from scow.core.journal import Journal
from scow.core.store import Store
from scow.image.catalog.images import Images
from scow.image.catalog.lists import Lists, Selection, fits
from scow.image.content.blobs import Blobs
from scow.image.content.digests import digest_of
from scow.image.metadata.tables import MIGRATIONS, Image, ImageStore, Layer, Manifest, Name

COUNT = 2000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lists, sqlite3.Connection]:
    """A store of many images of five layers, the lowest of which all share."""
    base = tmp_path_factory.mktemp("store")
    store = Store.open(base / "image.db", MIGRATIONS)
    rows = ImageStore(store)
    with rows.transaction() as tx:
        for number in range(COUNT):
            _insert(rows, tx, number)
    images = Images(rows, Blobs(base), Journal(store, "test", 10))
    return Lists(rows, images), store._connection


def _insert(rows: ImageStore, tx: sqlite3.Connection, number: int) -> None:
    identity = digest_of(f"image {number}".encode())
    manifest = digest_of(f"manifest {number}".encode())
    diff_ids = [digest_of(b"base"), *(digest_of(f"{number}/{n}".encode()) for n in range(4))]
    message = pb.Image(id=identity, config=pb.ImageConfig(labels={"number": str(number)}))
    rows.insert_image(
        tx, Image(identity, number, number, number), diff_ids, message.SerializeToString()
    )
    rows.insert_blob(tx, manifest, 400)
    rows.insert_manifest(tx, Manifest(manifest, "", identity), [identity, *diff_ids])
    for position, diff_id in enumerate(diff_ids):
        if number == 0 or position:
            layer_number = number * 10 + position
            rows.insert_layer(tx, Layer(diff_id, layer_number, "overlay", diff_id, 100, 200, 1))
    rows.set_name(tx, Name(f"docker.io/many/image:{number}", manifest, identity))


def _queries(connection: sqlite3.Connection, act: Callable[[], object]) -> int:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    try:
        act()
    finally:
        connection.set_trace_callback(None)
    return len(seen)


def test_a_list_takes_few_queries(made: tuple[Lists, sqlite3.Connection]) -> None:
    lists, connection = made
    found: list[pb.Image] = []

    def everything() -> None:
        found[:] = lists.select(Selection(sizes=True))[0]

    assert _queries(connection, everything) < 40
    assert len(found) == COUNT
    assert found[0].references == [f"docker.io/many/image:{COUNT - 1}"]
    assert {(image.size, image.shared_size) for image in found} == {(500, 100)}


def test_a_page_reads_no_more_than_itself(made: tuple[Lists, sqlite3.Connection]) -> None:
    lists, connection = made
    seen: list[str] = []
    token = ""

    def page() -> None:
        nonlocal token
        items, token = lists.select(Selection(page_size=700, page_token=token))
        seen.extend(image.id for image in items)

    while True:
        assert _queries(connection, page) < 20
        if not token:
            break
    assert len(seen) == len(set(seen)) == COUNT


def test_filters_over_pages(made: tuple[Lists, sqlite3.Connection]) -> None:
    lists, _ = made
    label = Filter(key="label", values=["number=7"])
    [image], token = lists.select(Selection([label], page_size=1))
    assert (image.config.labels["number"], token) == ("7", "")
    with pytest.raises(InvalidFilter):
        lists.select(Selection([Filter(key="until", values=["tomorrow"])]))


def test_a_pattern_longer_than_any_reference_is_refused(
    made: tuple[Lists, sqlite3.Connection],
) -> None:
    with pytest.raises(InvalidFilter, match="1025 characters"):
        made[0].select(Selection([Filter(key="reference", values=["*" * 1025])]))


@pytest.mark.parametrize(
    ("pattern", "fit"),
    [
        ("nginx", True),
        ("ng*", True),
        ("nginx:1*", True),
        ("library/nginx", False),
        ("docker.io/library/ngin?", True),
        ("*", True),
        ("*:1.2*", True),
        ("*/*", False),
        ("[^a]ginx", True),
        ("nginx:2", False),
    ],
)
def test_patterns(pattern: str, fit: bool) -> None:
    assert fits("docker.io/library/nginx:1.27", [pattern]) is fit


@pytest.mark.parametrize(
    ("pattern", "fit"),
    [
        ("r.example:5000/*", False),
        ("*app*", False),
        ("*/team/*", True),
        ("*/*/app", True),
        ("*/*/*:2", False),
        ("r.example:5000/team/app:1", True),
    ],
)
def test_wildcards_end_at_a_slash(pattern: str, fit: bool) -> None:
    assert fits("r.example:5000/team/app:1", [pattern]) is fit


@pytest.mark.parametrize(("pattern", "fit"), [("nginx", True), ("nginx:1", False)])
def test_patterns_of_digests(pattern: str, fit: bool) -> None:
    assert fits(f"docker.io/library/nginx@{digest_of(b'')}", [pattern]) is fit
