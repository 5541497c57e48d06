"""What is collected and what is kept, by whoever holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from scow.contract.errors import InvalidConfig
from scow.core.config import ImageSection
from scow.core.times import now_ns
from scow.image.content.digests import digest_of
from scow.image.gc.leases import KeptLeases
from scow.image.gc.watermarks import Watermarks
from scow.image.metadata.tables import Snapshot
from tests.unit.image.shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path)


def test_a_shared_layer_goes_with_the_last_image(shop: Shop) -> None:
    first, second = shop.add("a"), shop.add("b")
    assert shop.drop(first) == [first]
    assert shop.folders.deleted == [1]
    assert shop.drop(second) == [second]
    assert shop.folders.deleted == [1, 2, 1000], "the topmost first"
    assert not shop.rows.blobs()


def _snapshot(shop: Shop, image: str) -> None:
    with shop.rows.transaction() as tx:
        shop.rows.insert_snapshot(tx, Snapshot("container/x", 1, image), 0)


def _pin(shop: Shop, image: str) -> None:
    with shop.rows.transaction() as tx:
        shop.rows.set_pinned(tx, image, pinned=True)


def _lease(shop: Shop, image: str) -> None:
    KeptLeases(shop.rows).create([image], 60, {})


def _claim(shop: Shop, image: str) -> None:
    shop.held.enter_context(shop.leases.hold([image]))


@pytest.mark.parametrize("hold", [_snapshot, _pin, _lease, _claim])
def test_what_holds_an_image(shop: Shop, hold: Callable[[Shop, str], None]) -> None:
    kept, other = shop.add("kept"), shop.add("other")
    hold(shop, kept)
    assert [image.id for image in shop.collector.unused()] == [other]
    assert shop.drop(kept, other) == [other]
    assert shop.rows.image(kept) is not None
    assert shop.rows.names(kept) == ["kept"], "one that stays keeps its name"


def test_a_lease_that_has_ended_holds_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    image = shop.add("a")
    _lease(shop, image)
    later = now_ns() + 61 * 10**9
    monkeypatch.setattr("scow.image.gc.collector.now_ns", lambda: later)
    asyncio.run(shop.collector.sweep())
    assert shop.drop(image) == [image]


def test_what_has_no_name_and_nobody_holds_is_swept(shop: Shop) -> None:
    """A blob of a pull that was cut; a named image is not touched."""
    shop.add("a")
    with shop.rows.transaction() as tx:
        shop.rows.insert_blob(tx, digest_of(b"left"), 7)
    with shop.leases.hold([digest_of(b"left")]):
        assert not asyncio.run(shop.collector.sweep()).blobs
    gone = asyncio.run(shop.collector.sweep())
    assert (gone.blobs, gone.images, gone.size) == ([(digest_of(b"left"), 7)], [], 7)


def test_images_go_in_the_order_of_their_last_use_until_there_is_room(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {name: shop.add(name, used_ns=used) for name, used in (("b", 2), ("a", 1), ("c", 3))}
    shop.add("pinned", used_ns=0)
    shop.add("new", used_ns=now_ns())
    settings = ImageSection(
        gc_high_percent=80,
        gc_low_percent=50,
        gc_keep=1,
        gc_min_age_seconds=0,
        gc_pinned=("pinned",),
    )
    policy = Watermarks(shop.base, settings, shop.rows, shop.collector)
    left = shop.rows.images

    def used() -> float:
        return {5: 90.0, 4: 70.0, 3: 40.0}[len(left())]

    monkeypatch.setattr(policy, "used_percent", used)
    actions, size = asyncio.run(policy.collect())
    assert {image.id for image in left()}.isdisjoint({images["a"], images["b"]})
    assert len(left()) == 3
    assert size == 2 * (100 + 10 + 10)
    assert actions


def test_marks_that_contradict_each_other(shop: Shop) -> None:
    with pytest.raises(InvalidConfig, match="gc_low_percent"):
        Watermarks(
            shop.base,
            ImageSection(gc_high_percent=50, gc_low_percent=60),
            shop.rows,
            shop.collector,
        )
