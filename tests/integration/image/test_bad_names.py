"""Names with characters that look like others, lead elsewhere, or mean something to somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import errors
from tests.support.archives import docker_archive, load, tar
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.imageservice import import_tar, pull, stub_of
from tests.support.service import Service, from_rpc_error

TAR = layer_tar({"file": b"content"})
BAD = {
    "nothing": "",
    "a space": "a b",
    "spaces around": " nginx ",
    "a newline": "nginx\n",
    "a newline within": "nginx\n:latest",
    "a NUL": "nginx\0",
    "an escape": "\x1b[31mnginx",
    "a Cyrillic letter": "ng\u0456nx",
    "a wide letter": "\uff4eginx",
    "an accent": "caf\u00e9",
    "an accent apart": "cafe\u0301",
    "a letter of no width": "ngi\u200bnx",
    "from right to left": "\u202exnign",
    "an emoji": "\U0001f40b",
    "a digit of another script": "a:\u0661",
    "a dotless i in capitals": "N\u0130GINX",
    "capitals": "Nginx",
    "capitals in a path": "ghcr.io/Org/app",
    "the parent": "..",
    "a way up": "a/../b",
    "a way up, encoded": "a/%2e%2e/b",
    "an absolute path": "/etc/passwd",
    "two slashes": "a//b",
    "a slash at the end": "a/",
    "a backslash": "a\\b",
    "quotes": "a'b\"c",
    "a command": "$(reboot)",
    "a query": "a?x=1",
    "a fragment": "a#b",
    "a scheme": "http://host/a",
    "a user": "user:password@host/a",
    "a host alone": "docker.io/",
    "an open bracket": "[::1/a",
    "an address that is none": "[::g]:5000/a",
    "a port that is none": "host:port/a",
    "a port of six digits": "host:123456/a",
    "a port beyond all": "host:65536/a",
    "a tag alone": ":latest",
    "an empty tag": "a:",
    "a tag with dots first": "a:..",
    "a tag with a slash": "a:b/../c:d",
    "an endless tag": "a:" + "t" * 129,
    "a digest alone": "@sha256:" + "a" * 64,
    "a digest of capitals": "a@sha256:" + "A" * 64,
    "another algorithm": "a@md5:" + "a" * 32,
    "two digests": f"a@sha256:{'a' * 64}@sha256:{'a' * 64}",
    "an endless name": "a" * 100_000,
    "endless parts": "a/" * 50_000 + "a",
}


@pytest.fixture(scope="module")
def image(shared_service: Service) -> Iterator[str]:
    """An image to be named."""
    import_tar(shared_service, TAR, "names:1")
    yield "names:1"
    stub_of(shared_service).Remove(pb.RemoveRequest(image="names:1", force=True))


def _tag(service: Service, image: str, name: str) -> None:
    stub_of(service).Tag(pb.TagRequest(image=image, reference=name))


def _import(service: Service, image: str, name: str) -> None:
    import_tar(service, TAR, name)


def _pull(service: Service, image: str, name: str) -> None:
    pull(service, name)


WAYS: list[Callable[[Service, str, str], None]] = [_tag, _import, _pull]


@pytest.mark.parametrize(
    ("name", "way"),
    # An import without a name is one without a name.
    [(name, way) for name in BAD for way in WAYS if name != "nothing" or way is not _import],
)
def test_bad_names(
    service: Service, image: str, name: str, way: Callable[[Service, str, str], None]
) -> None:
    with pytest.raises((errors.InvalidReference, grpc.RpcError)) as caught:
        way(service, image, BAD[name])
    error = caught.value
    typed = from_rpc_error(error) if isinstance(error, grpc.RpcError) else error
    assert type(typed) is errors.InvalidReference
    assert BAD[name].startswith(typed.which.removesuffix("..."))
    assert typed.metadata["do"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_there(service: Service, image: str, name: str) -> None:
    """Looking for a bad name finds nothing; it says so, and breaks nothing."""
    stub = stub_of(service)
    for call in (
        lambda: stub.Get(pb.GetRequest(image=BAD[name])),
        lambda: stub.Remove(pb.RemoveRequest(image=BAD[name])),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        typed = from_rpc_error(caught.value)
        assert isinstance(typed, errors.InvalidReference | errors.ImageNotFound)


@pytest.mark.parametrize("name", [name for name in BAD if name != "nothing"])
def test_bad_tags_of_archives(service: Service, name: str) -> None:
    with pytest.raises(errors.InvalidArchive) as caught:
        load(service, tar(docker_archive([TAR], BAD[name])))
    assert caught.value.which == "manifest.json"


def test_case_and_looks_tell_names_apart(service: Service, image: str) -> None:
    names = [
        "case:tag",
        "case:Tag",
        "case:TAG",
        "c.ase:tag",
        "c-ase:tag",
        "c_ase:tag",
        "LOCALHOST/case:tag",
    ]
    for name in names:
        _tag(service, image, name)
    found = stub_of(service).Get(pb.GetRequest(image=image)).image.references
    assert len(set(found)) == len(names) + 1
    for name in names:
        stub_of(service).Remove(pb.RemoveRequest(image=name))


def test_a_host_in_capitals_is_the_same_host(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        name = registry.reference.replace("127.0.0.1", "LocalHost")
        assert pull(service, name).references == [name]
        stub_of(service).Remove(pb.RemoveRequest(image=name))
