"""Which names go, and when the image goes with them: as `docker rmi` decides it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from scow.contract.errors import ImageHasReferences, ImageInUse, ImageNotFound
from scow.core.journal import Journal
from scow.core.store import Store
from scow.image.catalog.images import Images
from scow.image.catalog.removal import Removal, Removed
from scow.image.content.blobs import Blobs
from scow.image.metadata.tables import Name, Snapshot
from tests.unit.image.shop import Shop, open_shop


class Remover(Shop):
    """A store with its removal."""

    runs: set[str]
    removal: Removal

    def tag(self, image: str, reference: str) -> None:
        """Give an image a further name."""
        with self.rows.transaction() as tx:
            known = self.rows.name(self.rows.names(image)[0])
            assert known is not None
            self.rows.set_name(tx, Name(reference, known.manifest, image))

    def use(self, image: str) -> None:
        """Make a container of an image."""
        with self.rows.transaction() as tx:
            self.rows.insert_snapshot(tx, Snapshot("container/x", 1, image), 0)

    def rmi(self, name: str, *, force: bool = False) -> Removed:
        """Remove by a name."""
        return asyncio.run(self.removal.remove(name, force))


@pytest.fixture
def shop(tmp_path: Path) -> Remover:
    opened = open_shop(tmp_path)
    made = Remover(opened.rows, opened.leases, opened.folders, opened.collector, tmp_path)
    made.runs = set()

    async def running(owners: Collection[str]) -> set[str]:
        return made.runs & {*owners}

    journal = Journal(Store.open(tmp_path / "journal.db", []), "test", 100)
    made.removal = Removal(
        made.rows, Images(made.rows, Blobs(tmp_path), journal), made.collector, running
    )
    return made


A, B = "docker.io/library/a:1", "docker.io/library/b:1"


def test_the_image_goes_with_its_last_name(shop: Remover) -> None:
    image = shop.add(A)
    shop.tag(image, B)
    first = shop.rmi("a:1")
    assert (first.untagged, first.deleted) == ([A], [])
    assert shop.rows.image(image) is not None
    last = shop.rmi("b:1")
    assert last.untagged == [B]
    assert last.deleted[0] == image
    with pytest.raises(ImageNotFound):
        shop.rmi("b:1")


def test_an_id_with_several_names_takes_force(shop: Remover) -> None:
    image = shop.add(A)
    shop.tag(image, B)
    with pytest.raises(ImageHasReferences):
        shop.rmi(image)
    assert shop.rmi(image, force=True).untagged == [A, B]
    assert shop.rows.image(image) is None


def test_the_last_name_of_an_image_that_a_container_is_made_of(shop: Remover) -> None:
    image = shop.add(A)
    shop.use(image)
    for name in ("a:1", image):
        with pytest.raises(ImageInUse) as caught:
            shop.rmi(name)
        assert caught.value.metadata["owners"] == "container/x"
    assert shop.rmi("a:1", force=True).deleted == []
    assert shop.rows.names(image) == []
    assert shop.rows.image(image) is not None, "its container keeps it"


def test_one_name_of_several_goes_also_when_it_is_used(shop: Remover) -> None:
    image = shop.add(A)
    shop.tag(image, B)
    shop.use(image)
    assert shop.rmi("a:1").untagged == [A]


def test_what_runs_keeps_an_image_from_removal_by_id(shop: Remover) -> None:
    image = shop.add(A)
    shop.use(image)
    shop.runs.add("container/x")
    with pytest.raises(ImageInUse):
        shop.rmi(image, force=True)
    shop.runs.clear()
    assert shop.rmi(image, force=True).untagged == [A]


def test_the_beginning_of_an_id(shop: Remover) -> None:
    image = shop.add(A)
    assert shop.rmi(image.removeprefix("sha256:")[:12]).deleted[0] == image
