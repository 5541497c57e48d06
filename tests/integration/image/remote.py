"""Calls of the image service that have to do with registries; errors are raised typed."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import registry_pb2
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.image.v1.registry_pb2_grpc import RegistryServiceStub
from scow.api.types.v1.types_pb2 import Filter
from scow.contract import errors
from tests.support.service import Service, typed


def push(
    service: Service, reference: str, auth: pb.Auth | None = None
) -> tuple[registry_pb2.PushResult, dict[str, int]]:
    """Push an image; return the result, and the last phase of each blob."""
    request = registry_pb2.PushRequest(reference=reference, auth=auth)
    phases: dict[str, int] = {}
    with typed():
        for message in RegistryServiceStub(service.channel).Push(request, timeout=60):
            if message.HasField("layer"):
                phases[message.layer.digest] = message.layer.phase
    return message.result, phases


def login(service: Service, server: str, auth: pb.Auth) -> str:
    """Check credentials; return the identity token."""
    request = registry_pb2.LoginRequest(server=server, auth=auth)
    with typed():
        answer = RegistryServiceStub(service.channel).Login(request, timeout=60)
    token: str = answer.identity_token
    return token


def search(
    service: Service, term: str, filters: dict[str, str] | None = None, limit: int = 0
) -> list[str]:
    """Search; return the names."""
    conditions = [Filter(key=k, values=[v]) for k, v in (filters or {}).items()]
    request = registry_pb2.SearchRequest(term=term, limit=limit, filters=conditions)
    with typed():
        answer = RegistryServiceStub(service.channel).Search(request, timeout=60)
    return [result.name for result in answer.results]


def tags(service: Service, repository: str) -> list[str]:
    """List tags."""
    request = registry_pb2.ListTagsRequest(repository=repository)
    with typed():
        return list(RegistryServiceStub(service.channel).ListTags(request, timeout=60).tags)


def images(service: Service) -> list[str]:
    """Return the ids of all images."""
    with typed():
        found = ImageServiceStub(service.channel).List(pb.ListRequest(all=True)).images
    return [image.id for image in found]


def tag(service: Service, image: str, reference: str) -> None:
    """Give an image a name."""
    with typed():
        ImageServiceStub(service.channel).Tag(pb.TagRequest(image=image, reference=reference))


def get(service: Service, image: str) -> pb.Image:
    """Describe an image."""
    with typed():
        return ImageServiceStub(service.channel).Get(pb.GetRequest(image=image)).image


@contextlib.contextmanager
def names_of_its_own(service: Service, image: pb.Image) -> Iterator[pb.Image]:
    """Give an image, and in the end take the names and digest references that it got meanwhile."""
    before = {*image.references, *image.repo_digests}
    yield image
    stub = ImageServiceStub(service.channel)
    for kind in ("references", "repo_digests"):
        for name in {*getattr(get(service, image.id), kind)} - before:
            with contextlib.suppress(errors.ImageNotFound), typed():
                stub.Remove(pb.RemoveRequest(image=name))


def remove(service: Service, image: str) -> None:
    """Remove an image with all its names."""
    with typed():
        ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image=image, force=True))


def skopeo(*arguments: str) -> Any:
    """Run skopeo; return what it printed, read as JSON where it is some."""
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout
