"""The client against services on real sockets: results, errors, retries, streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2_grpc import ContainerServiceServicer
from scow.api.image.v1 import image_pb2
from scow.api.image.v1.image_pb2_grpc import ImageServiceServicer
from scow.api.types.v1.types_pb2 import Compacted, Event
from scow.client import AsyncClient, Client, traceparent
from scow.contract.errors import (
    CommandNotFound,
    ContainerNotFound,
    DataLoss,
    DeadlineExceeded,
    ImageNotFound,
    ServiceUnavailable,
    ShimDied,
)
from tests.unit.client.toy import fail, serving

Context = grpc.ServicerContext


class Containers(ContainerServiceServicer):
    """Records what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.seconds: float | None = None
        self.image_there = True
        self.received = b""
        self.ended = threading.Event()

    def _note(self, context: Context) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.seconds = context.time_remaining()

    def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:  # noqa: N802
        self.requests.append(request)
        if not self.image_there:
            self.image_there = True
            fail(context, ImageNotFound("no such image", what="image", which=request.config.image))
        return pb.CreateResponse(container=pb.Container(id="c1", name=request.name or "made_up"))

    def Start(self, request: pb.StartRequest, context: Context) -> pb.StartResponse:  # noqa: N802
        self.requests.append(request)
        return pb.StartResponse(container=pb.Container(id=request.container, pid=42))

    def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:  # noqa: N802
        self.requests.append(request)
        return pb.RemoveResponse()

    def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:  # noqa: N802
        self._note(context)
        if request.container != "c1":
            fail(
                context,
                ContainerNotFound(
                    "no such container: x", what="container", which=request.container, do="look"
                ),
            )
        return pb.GetResponse(container=pb.Container(id="c1"))

    def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:  # noqa: N802
        self.requests.append(request)
        start = int(request.page_token or "0")
        return pb.ListResponse(
            containers=[pb.Container(id=str(start + number)) for number in range(2)],
            next_page_token=str(start + 2) if start < 4 else "",
        )

    def Wait(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:  # noqa: N802
        context.add_callback(self.ended.set)
        self.ended.wait(30)
        return pb.WaitResponse()

    def Logs(self, request: pb.LogsRequest, context: Context) -> Iterator[pb.LogsResponse]:  # noqa: N802
        self._note(context)
        self.requests.append(request)
        context.add_callback(self.ended.set)
        record = pb.LogsResponse(stdout=b"line\n")
        record.time.FromNanoseconds(1_000_000_005)
        yield record
        if request.follow:
            self.ended.wait(30)

    def Attach(  # noqa: N802
        self, requests: Iterator[pb.AttachRequest], context: Context
    ) -> Iterator[pb.AttachResponse]:
        self._note(context)
        opened = next(requests).open
        self.requests.append(opened)
        if opened.container == "broken":
            return
        if opened.start and opened.container == "bad":
            fail(context, CommandNotFound("no such command", what="command", which="x"))
        yield pb.AttachResponse(attached=True)
        yield pb.AttachResponse(stdout=b"out")
        yield pb.AttachResponse(stderr=b"err")
        yield pb.AttachResponse(exit=pb.AttachResponse.Exit(code=3))

    def Exec(  # noqa: N802
        self, requests: Iterator[pb.ExecRequest], context: Context
    ) -> Iterator[pb.ExecResponse]:
        self._note(context)
        opened = next(requests).open
        self.requests.append(opened)
        yield pb.ExecResponse(started=pb.ExecResponse.Started(exec_id="e1", pid=7))
        for request in requests if opened.stdin else ():
            if request.close_stdin:
                break
            self.received += request.stdin
        yield pb.ExecResponse(stdout=self.received)
        yield pb.ExecResponse(exit=pb.ExecResponse.Exit(code=0))

    def Watch(self, request: pb.WatchRequest, context: Context) -> Iterator[pb.WatchResponse]:  # noqa: N802
        self.requests.append(request)
        if request.from_revision == 1:
            yield pb.WatchResponse(compacted=Compacted(oldest_revision=5))
        first = max(5, request.from_revision)
        for revision in range(first, first + 2):
            yield pb.WatchResponse(event=Event(revision=revision, action="start"))
        if first < 9:
            # Cut in the middle, as a service that restarts does.
            context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")


class Images(ImageServiceServicer):
    """Pulls what is asked for."""

    def __init__(self) -> None:
        self.pulled: list[str] = []
        self.imported = b""
        self.opened: Any = None

    def Pull(self, request: image_pb2.PullRequest, context: Context) -> Iterator[Any]:  # noqa: N802
        self.pulled.append(request.reference)
        yield image_pb2.PullResponse(resolved="docker.io/library/i:latest@sha256:d")
        yield image_pb2.PullResponse(layer=image_pb2.LayerProgress(digest="sha256:l"))
        if request.reference != "broken":
            yield image_pb2.PullResponse(image=image_pb2.Image(id="sha256:i"))

    def Import(self, requests: Iterator[Any], context: Context) -> image_pb2.ImportResponse:  # noqa: N802
        self.opened = next(requests).open
        self.imported = b"".join(request.chunk for request in requests)
        return image_pb2.ImportResponse(image=image_pb2.Image(id="sha256:i"))


@pytest.fixture
def containers() -> Containers:
    return Containers()  # type: ignore[abstract]  # without what is not called


@pytest.fixture
def images() -> Images:
    return Images()  # type: ignore[abstract]


@pytest.fixture
def host(tmp_path: Path, containers: Containers, images: Images) -> Iterator[str]:
    with serving(tmp_path, containers, images):
        yield f"unix://{tmp_path}"


@pytest.fixture
def client(host: str) -> Iterator[Client]:
    with Client(host) as made:
        yield made


async def test_errors_are_classes(host: str, client: Client) -> None:
    async with AsyncClient(host) as aio:
        with pytest.raises(ContainerNotFound) as caught:
            await aio.containers.get("x")
    assert caught.value.metadata == {"what": "container", "which": "x", "do": "look"}
    with pytest.raises(ContainerNotFound) as caught:
        client.containers.get("x")
    assert str(caught.value) == "no such container: x: look"


async def test_lists_take_all_pages(host: str, client: Client, containers: Containers) -> None:
    async with AsyncClient(host) as aio:
        assert [c.id for c in await aio.containers.list(all=True)] == list("012345")
    assert [c.id for c in client.containers.list(limit=3)] == list("012")
    assert containers.requests[-1].page_size == 3


async def test_pull_tells_progress(host: str, client: Client) -> None:
    async with AsyncClient(host) as aio, aio.images.pull_progress("i") as progress:
        kinds = [message.WhichOneof("message") async for message in progress]
    assert kinds == ["resolved", "layer", "image"]
    assert client.images.pull("i").id == "sha256:i"
    with pytest.raises(DataLoss):
        client.images.pull("broken")


async def test_import_streams_a_file(
    host: str, client: Client, images: Images, tmp_path: Path
) -> None:
    file = tmp_path / "tar"
    content = bytes(range(256)) * 10_000
    file.write_bytes(content)
    async with AsyncClient(host) as aio:
        await aio.images.import_tar(str(file), "base", changes=['CMD ["sh"]'])
    assert images.imported == content
    assert (images.opened.reference, list(images.opened.changes)) == ("base", ['CMD ["sh"]'])
    with file.open("rb") as source:
        client.images.import_tar(source)
    assert images.imported == content


class _Unreadable:
    def read(self, size: int) -> bytes:
        raise OSError("disk on fire")


async def test_a_source_that_cannot_be_read_is_its_own_error(host: str, client: Client) -> None:
    with pytest.raises(OSError, match="disk on fire"):
        client.images.import_tar(_Unreadable())  # type: ignore[arg-type]
    async with AsyncClient(host) as aio:
        with pytest.raises(OSError, match="disk on fire"):
            await aio.images.import_tar(_Unreadable())  # type: ignore[arg-type]


async def test_run(host: str, client: Client, containers: Containers, images: Images) -> None:
    result = client.containers.run("i", ["date"], name="job")
    assert result == ("c1", 3, b"out", b"err", ())
    assert images.pulled == []
    containers.image_there = False
    async with AsyncClient(host) as aio:
        container = await aio.containers.run("i", detach=True)
    assert container.pid == 42
    assert images.pulled == ["i"]


def test_run_never_pulls_when_told_so(client: Client, containers: Containers) -> None:
    containers.image_there = False
    with pytest.raises(ImageNotFound):
        client.containers.run("i", pull="never")
    with pytest.raises(ValueError, match="missing"):
        client.containers.run("i", pull="sometimes")


def test_a_session_that_was_cut_has_no_exit_code(client: Client) -> None:
    with client.containers.attach("broken") as session:
        assert list(session) == []
    assert session.exit_code is None


def test_a_run_whose_end_is_unknown(tmp_path: Path, images: Images) -> None:
    class Broken(Containers):
        def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:  # noqa: N802
            return pb.CreateResponse(container=pb.Container(id="broken"))

    containers = Broken()  # type: ignore[abstract]
    host = f"unix://{tmp_path}"
    with serving(tmp_path, containers, images), Client(host) as client, pytest.raises(ShimDied):
        client.containers.run("i", auto_remove=True)
    # It is removed, whatever became of it.
    assert isinstance(containers.requests[-1], pb.RemoveRequest)
    assert containers.requests[-1].force


async def test_attach(host: str, client: Client) -> None:
    async with AsyncClient(host) as aio:
        async with await aio.containers.attach("c1", start=True) as session:
            outputs = [(o.stdout, o.stderr) async for o in session]
        assert (outputs, session.exit_code) == ([(b"out", b""), (b"", b"err")], 3)
        with pytest.raises(CommandNotFound):
            await aio.containers.attach("bad", start=True)
    with pytest.raises(CommandNotFound):
        client.containers.attach("bad", start=True)


async def test_exec_passes_input(host: str, client: Client, containers: Containers) -> None:
    content = b"x" * 100_000
    result = client.containers.exec("c1", ["cat"], input=content, env={"A": "1"})
    assert result == (0, content, b"")
    opened = containers.requests[-1]
    assert (list(opened.config.args), list(opened.config.env)) == (["cat"], ["A=1"])
    containers.received = b""
    async with AsyncClient(host) as aio:
        assert (await aio.containers.exec("c1", ["cat"], input=content)).stdout == content
        with pytest.raises(TypeError, match="sequence"):
            await aio.containers.exec("c1", "ls -l")


async def test_closing_a_stream_ends_the_call(host: str, containers: Containers) -> None:
    async with AsyncClient(host) as aio:
        async with aio.containers.logs("c1", follow=True) as logs:
            assert (await anext(logs)).stdout == b"line\n"
        assert containers.ended.wait(5)


def test_closing_a_stream_ends_the_call_sync(client: Client, containers: Containers) -> None:
    with client.containers.logs("c1", follow=True) as logs:
        assert next(logs).stdout == b"line\n"
    assert containers.ended.wait(5)


def test_a_timeout_is_an_error_and_ends_the_call(client: Client, containers: Containers) -> None:
    with pytest.raises(DeadlineExceeded):
        client.containers.wait("c1", timeout=0.1)
    assert containers.ended.wait(5)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.containers.get("c1", timeout=50),
        lambda client: list(client.containers.logs("c1", timeout=50)),
        lambda client: list(client.containers.attach("c1", timeout=50)),
        lambda client: list(client.containers.open_exec("c1", ["true"], timeout=50)),
    ],
    ids=["call", "stream", "attach", "exec"],
)
def test_trace_and_deadline_reach_the_service(
    client: Client, containers: Containers, call: Callable[[Client], object]
) -> None:
    value = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    token = traceparent.set(value)
    try:
        call(client)
    finally:
        traceparent.reset(token)
    assert containers.metadata["traceparent"] == value
    assert containers.seconds is not None
    assert 0 < containers.seconds < 60


def test_watch_goes_on_where_it_was(tmp_path: Path, images: Images) -> None:
    containers = Containers()  # type: ignore[abstract]
    with serving(tmp_path, containers, images), Client(f"unix://{tmp_path}") as client:
        events = client.containers.watch(1)
        seen = [m.event.revision or -m.compacted.oldest_revision for m in events]
    assert seen == [-5, 5, 6, 7, 8, 9, 10]
    assert [r.from_revision for r in containers.requests] == [1, 7, 9]


def test_no_service_is_an_error_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    with Client(f"unix://{tmp_path}") as client, pytest.raises(ServiceUnavailable):
        client.containers.get("x")
    assert time.monotonic() - start < 2


def test_a_restarting_service_is_waited_for(tmp_path: Path, containers: Containers) -> None:
    socket = tmp_path / "container.sock"
    socket.touch()  # what a killed service leaves behind
    with Client(f"unix://{tmp_path}") as client:
        made: list[pb.Container] = []
        caller = threading.Thread(target=lambda: made.append(client.containers.create("i")))
        caller.start()
        time.sleep(0.3)
        socket.unlink()
        with serving(tmp_path, containers):
            caller.join(10)
    assert [container.id for container in made] == ["c1"]
    # Once is enough: later attempts carry the request id of the first.
    assert len({request.request_id for request in containers.requests}) == 1


def test_patience_ends(tmp_path: Path) -> None:
    (tmp_path / "container.sock").touch()
    start = time.monotonic()
    with Client(f"unix://{tmp_path}", patience=0.3) as client, pytest.raises(ServiceUnavailable):
        client.containers.get("x")
    assert 0.1 < time.monotonic() - start < 3


async def test_health(host: str, client: Client) -> None:
    # These services have no health service: they do not say that they serve.
    expected = dict.fromkeys(["container", "image", "network", "volume"], False)
    assert client.health() == expected
    async with AsyncClient(host) as aio:
        assert await aio.health() == expected
