"""What tests of the image service as a process share: calls over a bare channel, with typed errors."""

from __future__ import annotations

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.image.v1.store_pb2_grpc import StoreServiceStub
from scow.contract import errors
from tests.support.service import Service, typed


def stub_of(service: Service) -> ImageServiceStub:
    return ImageServiceStub(service.channel)


def import_tar(service: Service, data: bytes, reference: str = "", **opened: object) -> pb.Image:
    first = pb.ImportRequest.Open(reference=reference)
    for key, value in opened.items():
        getattr(first, key).extend(value) if isinstance(value, list) else setattr(first, key, value)
    messages = [pb.ImportRequest(open=first)]
    size = 1 << 16
    messages += [pb.ImportRequest(chunk=data[at : at + size]) for at in range(0, len(data), size)]
    with typed():
        return stub_of(service).Import(iter(messages), timeout=60).image


def raising(error: type[errors.ScowError], call: object, request: object) -> errors.ScowError:
    assert callable(call)
    with pytest.raises(error) as caught, typed():
        call(request)
    return caught.value


def store_of(service: Service) -> StoreServiceStub:
    return StoreServiceStub(service.channel)


def pull(
    service: Service, reference: str, auth: pb.Auth | None = None, **options: object
) -> pb.Image:
    request = pb.PullRequest(reference=reference, auth=auth, **options)  # type: ignore[arg-type]
    with typed():
        *_, last = stub_of(service).Pull(request, timeout=60)
    return last.image
