"""Pulls, removals, prunes, collections and snapshots at once: what is listed stays whole, nothing is left over."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import store_pb2
from scow.api.types.v1.types_pb2 import Filter
from scow.contract import errors
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.imageservice import import_tar, store_of, stub_of
from tests.support.service import Service, typed

SECONDS = 6.0
# Of what another thread did a moment ago.
EXPECTED = (errors.ImageNotFound, errors.ImageInUse, errors.ImageHasReferences, errors.Cancelled)


@pytest.fixture
def own() -> Iterator[Service]:
    with Service("image") as running:
        yield running


@pytest.fixture
def registries() -> Iterator[list[BadRegistry]]:
    """Three images that share their lowest layer, two of them the next one too."""
    base, middle = layer_tar({"base": bytes(20_000)}), layer_tar({"middle": b"m" * 9000})
    tops = [
        [base, middle, layer_tar({"one": b"1"})],
        [base, middle],
        [base, layer_tar({"3": b"3"})],
    ]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(BadRegistry(tars)) for tars in tops]


def test_nothing_in_use_is_collected(own: Service, registries: list[BadRegistry]) -> None:
    references = [registry.reference for registry in registries]
    stub, store = stub_of(own), store_of(own)

    def use(chance: random.Random) -> None:
        owner = f"container/{chance.randrange(1000)}"
        try:
            stub.Prepare(pb.PrepareRequest(image=chance.choice(references), owner=owner))
        finally:
            stub.Release(pb.ReleaseRequest(owner=owner))

    actions: list[Callable[[random.Random], object]] = [
        lambda chance: list(stub.Pull(pb.PullRequest(reference=chance.choice(references)))),
        lambda chance: stub.Remove(pb.RemoveRequest(image=chance.choice(references), force=True)),
        lambda _: store.Prune(
            store_pb2.PruneRequest(filters=[Filter(key="dangling", values=["false"])])
        ),
        lambda _: store.Collect(store_pb2.CollectRequest()),
        lambda _: stub.Reconcile(pb.ReconcileRequest()),
        lambda chance: import_tar(own, layer_tar({"i": b"i"}), f"made:{chance.randrange(3)}"),
        use,
    ]
    weights = [6, 3, 1, 1, 1, 2, 4]
    end = time.monotonic() + SECONDS
    failures: list[BaseException] = []
    done = [0] * len(actions)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < end and not failures:
            [number] = chance.choices(range(len(actions)), weights)
            try:
                with typed():
                    actions[number](chance)
                done[number] += 1
            except EXPECTED:
                pass
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, f"{failures}\n{own.log.read_text()[-3000:]}"
    assert all(done), f"what was done: {done}"
    _whole(own)
    _empty(own)


def _whole(service: Service) -> None:
    """Check that all that is listed can be used, and that every file is what its name says."""
    stub = stub_of(service)
    for image in stub.List(pb.ListRequest(all=True)).images:
        stub.Prepare(pb.PrepareRequest(image=image.id, owner="container/last"))
        stub.Release(pb.ReleaseRequest(owner="container/last"))
    for path in (service.data / "blobs/sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    findings = [
        message.finding
        for message in store_of(service).Check(store_pb2.CheckRequest())
        if message.HasField("finding")
    ]
    assert findings == []


def _empty(service: Service) -> None:
    """Remove all images, and check that nothing is left of them."""
    stub = stub_of(service)
    for image in stub.List(pb.ListRequest(all=True)).images:
        stub.Remove(pb.RemoveRequest(image=image.id, force=True))
    stub.Reconcile(pb.ReconcileRequest())
    for folder in ("layers", "snapshots", "blobs/sha256", "ingest", "quarantine"):
        assert list((service.data / folder).iterdir()) == [], folder
