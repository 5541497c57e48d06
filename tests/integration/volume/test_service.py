"""The volume service as a process, driven by a bare channel."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.volume.v1 import quota_pb2
from scow.api.volume.v1 import volume_pb2 as pb
from scow.api.volume.v1.quota_pb2_grpc import QuotaServiceStub
from scow.api.volume.v1.volume_pb2_grpc import VolumeServiceStub
from scow.contract.errors import (
    InvalidArgument,
    QuotaUnsupported,
    RequestIdReused,
    VolumeNotFound,
)
from tests.support.service import Service, from_rpc_error


@pytest.fixture
def service() -> Iterator[Service]:
    with Service("volume") as running:
        yield running


def test_volumes_survive_a_crash(service: Service) -> None:
    stub = VolumeServiceStub(service.channel)
    made = stub.Create(pb.CreateRequest(name="data", request_id="one")).volume
    stub.Acquire(
        pb.AcquireRequest(
            owner="container/1",
            mounts=[pb.MountRequest(type="volume", source="data", target="/x")],
        )
    )
    service.kill_and_restart()
    assert stub.Create(pb.CreateRequest(name="data", request_id="one")).volume == made
    [listed] = stub.List(pb.ListRequest()).volumes
    # The container service cannot be asked, so the owner keeps what it holds.
    assert list(listed.owners) == ["container/1"]


def test_a_request_id_of_another_request(service: Service) -> None:
    stub = VolumeServiceStub(service.channel)
    stub.Create(pb.CreateRequest(name="data", request_id="one"))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(pb.CreateRequest(name="other", request_id="one"))
    assert isinstance(from_rpc_error(caught.value), RequestIdReused)


def test_errors_carry_what_and_which(service: Service) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        VolumeServiceStub(service.channel).Get(pb.GetRequest(name="nothing"))
    error = from_rpc_error(caught.value)
    assert isinstance(error, VolumeNotFound)
    assert error.metadata["what"] == "volume"
    assert error.which == "nothing"


def test_watch_replays_and_follows(service: Service) -> None:
    stub = VolumeServiceStub(service.channel)
    stub.Create(pb.CreateRequest(name="first"))
    events = stub.Watch(pb.WatchRequest(from_revision=1), timeout=20)
    assert next(events).event.object_id == "first"
    stub.Create(pb.CreateRequest(name="second"))
    event = next(events).event
    assert (event.object_id, event.action) == ("second", "create")
    events.cancel()


def test_pages(service: Service) -> None:
    stub = VolumeServiceStub(service.channel)
    for index in range(5):
        stub.Create(pb.CreateRequest(name=f"v{index}"))
    names, token = [], ""
    for _ in range(3):
        answer = stub.List(pb.ListRequest(page_size=2, page_token=token))
        names += [v.name for v in answer.volumes]
        token = answer.next_page_token
    assert names == [f"v{index}" for index in range(5)]
    assert token == ""


def test_usage(service: Service) -> None:
    stub = VolumeServiceStub(service.channel)
    for name in ("data", "empty"):
        stub.Create(pb.CreateRequest(name=name))
    folder = Path(stub.Get(pb.GetRequest(name="data")).volume.mountpoint)
    (folder / "one").write_bytes(bytes(5000))
    (folder / "two").hardlink_to(folder / "one")
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    sizes = {each.name: each.size for each in stub.Usage(pb.UsageRequest()).volumes}
    assert sizes == {"data": 5000, "empty": 0}
    [only] = stub.Usage(pb.UsageRequest(names=["empty"])).volumes
    assert only.name == "empty"
    with pytest.raises(grpc.RpcError) as caught:
        stub.Usage(pb.UsageRequest(names=["nothing"]))
    assert isinstance(from_rpc_error(caught.value), VolumeNotFound)


def test_limits_where_the_file_system_has_none(service: Service) -> None:
    VolumeServiceStub(service.channel).Create(pb.CreateRequest(name="data"))
    quotas = QuotaServiceStub(service.channel)
    for request, expected in (
        (quota_pb2.SetLimitsRequest(volume="data", size=1 << 20), QuotaUnsupported),
        (quota_pb2.SetLimitsRequest(volume="data", size=-1), InvalidArgument),
        (quota_pb2.SetLimitsRequest(volume="data", inodes=1 << 60), InvalidArgument),
        (quota_pb2.SetLimitsRequest(volume="none", size=1 << 20), VolumeNotFound),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            quotas.SetLimits(request)
        assert isinstance(from_rpc_error(caught.value), expected)
    told = quotas.GetLimits(quota_pb2.GetLimitsRequest(volume="data"))
    assert not told.HasField("limits")
