"""The store as a service: removal, pruning, leases, pins, usage, lists and history, over a bare channel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import store_pb2
from scow.api.types.v1.types_pb2 import Filter
from scow.contract import errors
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.busybox import rootfs_tar
from tests.support.digests import digest_of
from tests.support.imageservice import import_tar, pull, raising, store_of, stub_of
from tests.support.service import Service


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with BadRegistry([layer_tar({"a": b"1"}), layer_tar({"b": b"2"})]) as running:
        yield running


def listed(service: Service, *, every: bool = False, **filters: str) -> list[str]:
    request = pb.ListRequest(all=every)
    for key, value in filters.items():
        request.filters.add(key=key, values=[value])
    return [image.id for image in stub_of(service).List(request).images]


def remove(service: Service, name: str, *, force: bool = False) -> pb.RemoveResponse:
    return stub_of(service).Remove(pb.RemoveRequest(image=name, force=force))


def prune(service: Service, **filters: str) -> store_pb2.PruneResponse:
    conditions = [Filter(key=key, values=[value]) for key, value in filters.items()]
    return store_of(service).Prune(store_pb2.PruneRequest(filters=conditions))


def test_the_last_tag_takes_the_digests_of_its_repository(
    service: Service, registry: BadRegistry
) -> None:
    image = pull(service, registry.reference)
    [digest] = image.repo_digests
    stub_of(service).Tag(pb.TagRequest(image=registry.reference, reference="other:1"))
    gone = remove(service, registry.reference)
    assert (list(gone.untagged), list(gone.deleted)) == ([registry.reference, digest], [])
    gone = remove(service, "other:1")
    assert list(gone.deleted) == [image.id, *reversed(image.diff_ids)]


def test_removing_by_digest(service: Service, registry: BadRegistry) -> None:
    image = pull(service, registry.reference)
    [digest] = image.repo_digests
    assert list(remove(service, digest).untagged) == [digest]
    assert list(stub_of(service).Get(pb.GetRequest(image=image.id)).image.repo_digests) == []
    again = pull(service, digest)
    assert list(again.references) == [registry.reference]
    remove(service, registry.reference)
    only = pull(service, digest)
    assert list(only.references) == []
    assert list(remove(service, digest).deleted) == [image.id, *reversed(image.diff_ids)]


def test_a_filter_by_reference_tells_only_of_what_fits(
    service: Service, registry: BadRegistry
) -> None:
    [digest] = pull(service, registry.reference).repo_digests
    repository = digest.partition("@")[0]
    stub_of(service).Tag(pb.TagRequest(image=registry.reference, reference="other:1"))

    def found(pattern: str) -> list[tuple[list[str], list[str]]]:
        request = pb.ListRequest(filters=[Filter(key="reference", values=[pattern])])
        images = stub_of(service).List(request).images
        return [(list(image.references), list(image.repo_digests)) for image in images]

    assert found("other:1") == [(["docker.io/library/other:1"], [])]
    assert found(repository) == [([registry.reference], [digest])]
    assert found(f"{repository}:no") == []
    remove(service, registry.reference)
    assert found(repository) == []
    [image] = listed(service)
    pull(service, digest)
    remove(service, "other:1")
    assert found(repository) == [([], [digest])]
    # As in Docker: without a tag it dangles, and is shown among those that do not.
    assert listed(service, dangling="true") == listed(service, dangling="false") == [image]
    remove(service, digest)


def test_a_forced_removal_leaves_a_container_its_image(service: Service) -> None:
    image = import_tar(service, rootfs_tar(), "base")
    stub_of(service).Prepare(pb.PrepareRequest(image="base", owner="container/1"))
    raising(errors.ImageInUse, stub_of(service).Remove, pb.RemoveRequest(image="base"))
    # Whether the container runs cannot be asked here, so it may.
    by_id = pb.RemoveRequest(image=image.id, force=True)
    raising(errors.ImageInUse, stub_of(service).Remove, by_id)
    gone = remove(service, "base", force=True)
    assert (len(gone.untagged), list(gone.deleted)) == (1, [])
    assert listed(service, dangling="true") == [image.id]
    assert not prune(service).deleted, "an image in use was pruned"
    prepared = stub_of(service).Prepare(pb.PrepareRequest(image="base", owner="container/1"))
    assert prepared.image.id == image.id
    stub_of(service).Release(pb.ReleaseRequest(owner="container/1"))
    assert list(prune(service).deleted) == [image.id, *reversed(image.diff_ids)]


def test_an_id_with_several_names_takes_force(service: Service) -> None:
    image = import_tar(service, layer_tar({"a": b"1"}), "one")
    stub_of(service).Tag(pb.TagRequest(image="one", reference="two"))
    short = image.id[7:15]
    raising(errors.ImageHasReferences, stub_of(service).Remove, pb.RemoveRequest(image=short))
    gone = remove(service, short, force=True)
    assert len(gone.untagged) == 2
    assert list(gone.deleted) == [image.id, *reversed(image.diff_ids)]


def test_prune(service: Service) -> None:
    old = import_tar(service, layer_tar({"a": b"1"}), "moving", changes=["LABEL keep=1"])
    new = import_tar(service, layer_tar({"a": b"2" * 5000}), "moving")
    assert not prune(service, label="keep=2").deleted
    assert not prune(service, **{"label!": "keep"}).deleted
    assert not prune(service, until="1h").deleted
    done = prune(service, label="keep")
    assert list(done.deleted) == [old.id, *old.diff_ids]
    store_of(service).SetPinned(store_pb2.SetPinnedRequest(image="moving", pinned=True))
    assert not prune(service, dangling="false").deleted, "a pinned image was pruned"
    assert stub_of(service).Get(pb.GetRequest(image="moving")).image.pinned
    store_of(service).SetPinned(store_pb2.SetPinnedRequest(image="moving"))
    done = prune(service, dangling="false")
    assert list(done.untagged) == ["docker.io/library/moving:latest"]
    assert list(done.deleted) == [new.id, *new.diff_ids]
    assert done.space_reclaimed > 5000
    bad = store_pb2.PruneRequest(filters=[Filter(key="until", values=["soon"])])
    raising(errors.InvalidFilter, store_of(service).Prune, bad)


def test_leases(service: Service) -> None:
    store = store_of(service)
    image = import_tar(service, layer_tar({"a": b"leased"}), "leased")
    request = store_pb2.CreateLeaseRequest(
        content=["leased", "sha256:" + "9" * 64], labels={"for": "a test"}
    )
    lease = store.CreateLease(request).lease
    assert {image.id, "sha256:" + "9" * 64} <= set(lease.digests)
    assert lease.expires_at.seconds == pytest.approx(time.time() + 86400, abs=60)
    assert list(remove(service, "leased").deleted) == [], "a leased image was deleted"
    assert not prune(service).deleted
    service.kill_and_restart()
    [known] = store_of(service).ListLeases(store_pb2.ListLeasesRequest()).leases
    assert known == lease
    store = store_of(service)
    renewed = store.RenewLease(store_pb2.RenewLeaseRequest(id=lease.id, ttl_seconds=1)).lease
    assert renewed.expires_at.seconds < lease.expires_at.seconds
    time.sleep(1.1)
    renew = store_pb2.RenewLeaseRequest(id=lease.id)
    raising(errors.LeaseNotFound, store.RenewLease, renew)
    assert list(store.ListLeases(store_pb2.ListLeasesRequest()).leases) == []
    store.Collect(store_pb2.CollectRequest())
    assert list(prune(service).deleted) == [image.id, *reversed(image.diff_ids)]
    store.DeleteLease(store_pb2.DeleteLeaseRequest(id=lease.id))
    wrong = store_pb2.CreateLeaseRequest(content=["no-such"])
    raising(errors.ImageNotFound, store.CreateLease, wrong)


def test_a_lease_keeps_a_blob_that_comes_later(service: Service, registry: BadRegistry) -> None:
    blob = digest_of(registry.layers[0])
    store = store_of(service)
    lease = store.CreateLease(store_pb2.CreateLeaseRequest(content=[blob])).lease
    pull(service, registry.reference)
    remove(service, registry.reference)
    file = service.data / "blobs/sha256" / blob.removeprefix("sha256:")
    assert file.exists()
    store.DeleteLease(store_pb2.DeleteLeaseRequest(id=lease.id))
    done = store.Collect(store_pb2.CollectRequest())
    assert [action.object for action in done.actions] == [f"blob/{blob}"]
    assert done.space_reclaimed == len(registry.layers[0])
    assert not file.exists()


def test_documents_and_history(service: Service, registry: BadRegistry) -> None:
    image = pull(service, registry.reference)
    got = stub_of(service).Get(pb.GetRequest(image=registry.reference))
    assert got.manifest == registry.manifest
    assert digest_of(got.configuration) == image.id
    assert [entry.size for entry in got.history] == [1, 1]
    assert got.image.manifest_digest == digest_of(registry.manifest)
    remove(service, registry.reference)
    made = import_tar(service, layer_tar({"a": b"123"}), "made", message="by hand")
    [entry] = stub_of(service).Get(pb.GetRequest(image="made")).history
    assert (entry.comment, entry.size) == ("by hand", 3)
    assert entry.created_at == made.created_at
    remove(service, "made")


def test_sizes(service: Service) -> None:
    """A layer that two images have is shared; usage counts it once."""
    base = layer_tar({"a": bytes(3000)})
    import_tar(service, base, "one")
    import_tar(service, base, "two", changes=["LABEL a=1"])
    import_tar(service, layer_tar({"b": bytes(500)}), "three")
    images = {
        image.references[0].rpartition("/")[2]: image
        for image in stub_of(service).List(pb.ListRequest(sizes=True)).images
    }
    sizes = {name: (image.size, image.shared_size) for name, image in images.items()}
    assert sizes == {
        "one:latest": (3000, 3000),
        "two:latest": (3000, 3000),
        "three:latest": (500, 0),
    }
    request = pb.PrepareRequest(image="three", owner="container/1")
    # The blobs are plain tars: where layers are tars, they are the same files.
    layers = 3500 if stub_of(service).Prepare(request).driver == "overlay" else 0
    usage = store_of(service).DiskUsage(store_pb2.DiskUsageRequest())
    blobs = sum(path.stat().st_size for path in (service.data / "blobs/sha256").iterdir())
    assert usage.images_size == layers + blobs
    three = next(i for i in usage.items if i.id == images["three:latest"].id)
    assert three.in_use
    assert usage.images_reclaimable == usage.images_size - three.size
    assert [i.id for i in usage.items if i.kind == "snapshot"] == ["container/1"]
    assert 0 < usage.disk_free < usage.disk_total
    stub_of(service).Release(pb.ReleaseRequest(owner="container/1"))
    for name in ("one", "two", "three"):
        remove(service, name)


def test_pages_and_until(service: Service) -> None:
    for number in range(3):
        import_tar(service, layer_tar({"a": str(number).encode()}), f"page:{number}")
    whole = listed(service)
    assert len(whole) == 3
    first = stub_of(service).List(pb.ListRequest(page_size=2))
    second = stub_of(service).List(pb.ListRequest(page_size=2, page_token=first.next_page_token))
    assert [image.id for image in (*first.images, *second.images)] == whole
    assert (len(first.images), second.next_page_token) == (2, "")
    assert listed(service, until="1h") == []
    assert listed(service, until=str(int(time.time()) + 5)) == whole
    for number in range(3):
        remove(service, f"page:{number}")


def test_an_index_kept_whole_goes_with_its_last_name(service: Service) -> None:
    with BadRegistry([layer_tar({"a": b"1"})]) as registry:
        foreign = json.loads(registry.blobs[registry.config])
        foreign["architecture"] = "s390x"
        data = json.dumps(foreign).encode()
        registry.blobs[digest_of(data)] = data
        manifest = json.loads(registry.manifest)
        manifest["config"] |= {"digest": digest_of(data), "size": len(data)}
        other = json.dumps(manifest).encode()
        kinds = {
            digest_of(other): (other, "s390x"),
            digest_of(registry.manifest): (registry.manifest, "amd64"),
        }
        index = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [
                    {
                        "mediaType": "application/vnd.oci.image.manifest.v1+json",
                        "digest": digest,
                        "size": len(body),
                        "platform": {"os": "linux", "architecture": architecture},
                    }
                    for digest, (body, architecture) in kinds.items()
                ],
            }
        ).encode()

        def answer(handler: object) -> bool:
            path = handler.path  # type: ignore[attr-defined]
            name = path.rsplit("/", 1)[1]
            if "/manifests/" not in path:
                return False
            body = index if name in ("1", digest_of(index)) else kinds[name][0]
            handler.send(body, json.loads(body)["mediaType"])  # type: ignore[attr-defined]
            return True

        registry.misbehave = answer
        request = pb.PullRequest(reference=registry.reference, all_platforms=True)
        *_, last = stub_of(service).Pull(request, timeout=60)
        assert last.image.id == registry.config
        assert listed(service) == [registry.config]
        assert set(listed(service, every=True)) == {registry.config, digest_of(data)}
        assert not prune(service).deleted, "an image of an index was pruned"
        got = stub_of(service).Get(pb.GetRequest(image=registry.reference))
        assert got.index == index
        assert {each.architecture for each in got.platforms} == {"amd64", "s390x"}
        gone = remove(service, registry.reference)
        assert set(gone.deleted) == {registry.config, digest_of(data), *last.image.diff_ids}
