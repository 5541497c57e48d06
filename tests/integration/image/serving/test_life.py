"""What is pushed becomes content of the service: it is named, run, kept and collected like all else."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import os
import shutil
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract.errors import ImageNotFound, RegistryDenied
from tests.integration.image.remote import push
from tests.support import processes
from tests.support.digests import digest_of
from tests.support.distribution import OCI_INDEX, OCI_MANIFEST, Image, artifact, index_of
from tests.support.net import http_get
from tests.support.service import from_rpc_error
from tests.support.serving import Serving

# Its services are started once.
pytestmark = pytest.mark.xdist_group("serving-life")


@pytest.fixture(scope="module")
def alone() -> Iterator[Serving]:
    # The files of layers are looked at here: they have folders with this driver alone.
    with Serving({"SCOW_IMAGE_SNAPSHOTTER": "overlay"}) as running:
        yield running


@pytest.fixture
def own(alone: Serving) -> Iterator[Serving]:
    """A registry for a test that restarts it, or looks at all that it has: it is empty before and after."""
    yield alone
    for image in alone.stub.List(pb.ListRequest()).images:
        alone.stub.Remove(pb.RemoveRequest(image=image.id, force=True))
    expire_leases(alone)
    alone.reconcile()
    assert alone.blobs() == set()
    assert list((alone.data / "ingest").iterdir()) == []


def is_gone(serving: Serving, name: str) -> bool:
    try:
        serving.image(name)
    except grpc.RpcError as error:
        assert isinstance(from_rpc_error(error), ImageNotFound)
        return True
    return False


def test_a_pushed_image_runs(own: Serving) -> None:
    image = Image("runs")
    own.api.push_image("team/app", "1", image)
    found = own.image("team/app:1")
    assert found.id == image.id
    assert found.references == ["docker.io/team/app:1"]
    assert found.repo_digests == [f"docker.io/team/app@{image.digest}"]
    listed = own.stub.List(pb.ListRequest()).images
    assert [each.id for each in listed] == [image.id]
    own.stub.Prepare(pb.PrepareRequest(image="team/app:1", owner="container/x"))
    [layer] = (own.data / "layers").iterdir()
    assert (layer / "hello").read_text() == "runs"
    events = own.stub.Watch(pb.WatchRequest(from_revision=1))
    event = next(event.event for event in events if event.event.object_id == image.id)
    events.cancel()
    assert (event.action, event.actor) == ("push", "registry/anonymous")
    assert event.attributes["name"] == "docker.io/team/app:1"

    own.stub.Release(pb.ReleaseRequest(owner="container/x"))
    own.stub.Remove(pb.RemoveRequest(image="team/app:1"))
    assert own.blobs() == set()
    assert own.api.call("GET", f"/v2/team/app/blobs/{image.id}").status == 404
    assert own.api.call("GET", "/v2/_catalog").json == {"repositories": []}


def test_an_index_is_one_image(own: Serving) -> None:
    """Its manifests come by digest before it; they are not images of their own, and go with it."""
    mine, other = Image("mine"), Image("other", "s390x")
    for image in (mine, other):
        own.api.push_image("team/multi", image.digest, image)
    answer = own.api.push("team/multi", "1", index_of(other, mine), OCI_INDEX)
    assert answer.status == 201
    found = own.image("team/multi:1")
    assert found.id == mine.id
    assert [each.id for each in own.stub.List(pb.ListRequest()).images] == [mine.id]
    assert own.api.call("GET", f"/v2/team/multi/manifests/{other.digest}").body == other.manifest
    own.stub.Remove(pb.RemoveRequest(image="team/multi:1"))
    assert own.blobs() == set()


def test_an_index_is_deleted_whole(own: Serving) -> None:
    mine, other = Image("mine"), Image("other", "s390x")
    for image in (mine, other):
        own.api.push_image("team/multi", image.digest, image)
    index = index_of(other, mine)
    own.api.push("team/multi", "1", index, OCI_INDEX)
    own.api.push_blob("team/multi", b"{}")
    signature = artifact("test/signature", index)
    own.api.push("team/multi", digest_of(signature), signature, OCI_MANIFEST)
    assert own.api.call("DELETE", f"/v2/team/multi/manifests/{digest_of(index)}").status == 202
    assert is_gone(own, "team/multi:1")
    own.reconcile()  # finds the signature without its subject
    expire_leases(own)
    own.reconcile()
    own.reconcile()
    assert own.blobs() == set()


def test_a_tag_that_moves(own: Serving) -> None:
    """The image that had it stays with its digest."""
    old, new = Image("old"), Image("new")
    own.api.push_image("team/app", "1", old)
    own.api.push_image("team/app", "1", new)
    assert own.image("team/app:1").id == new.id
    assert own.image(old.id).references == []
    assert own.api.call("GET", f"/v2/team/app/manifests/{old.digest}").body == old.manifest


def expire_leases(serving: Serving) -> None:
    """Let time pass for the leases."""
    with contextlib.closing(sqlite3.connect(serving.data / "image.db", timeout=10)) as database:
        database.execute("UPDATE leases SET expires_ns = 1")
        database.commit()


def test_blobs_without_a_manifest(own: Serving) -> None:
    """They are kept for a while, over a restart too; then they go."""
    blob = own.api.push_blob("team/app", b"early")
    own.reconcile()
    own.kill_and_restart()
    assert own.api.call("HEAD", f"/v2/team/app/blobs/{blob}").status == 200
    expire_leases(own)
    own.reconcile()
    assert own.blobs() == set()


def test_an_upload_survives_a_crash(own: Serving) -> None:
    data = os.urandom(3 << 20)
    where = own.api.begin("team/app")
    assert own.api.call("PATCH", where, data[: 1 << 20]).status == 202
    own.kill_and_restart()
    own.reconcile()
    status = own.api.call("GET", where)
    assert status.header("Range") == f"0-{(1 << 20) - 1}"
    done = own.api.call("PUT", f"{where}?digest={digest_of(data)}", data[1 << 20 :])
    assert done.status == 201
    assert own.api.call("GET", done.header("Location")).body == data
    assert list((own.data / "ingest").iterdir()) == []


def test_killed_while_many_push(own: Serving) -> None:
    """What was answered with 201 is there, whole, with its name; of the rest nothing stays."""
    pushed: list[tuple[str, Image]] = []

    def push(worker: int) -> None:
        number = 0
        with contextlib.suppress(OSError, http.client.HTTPException):  # until it is killed
            while True:
                number += 1
                image = Image(f"{worker}-{number}")
                own.api.push_image("team/many", f"{worker}-{number}", image)
                pushed.append((f"{worker}-{number}", image))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        working = [pool.submit(push, worker) for worker in range(4)]
        processes.wait_for(lambda: len(pushed) > 20, "some pushes")
        own.stop(signal.SIGKILL)
        for each in working:
            each.result()
    own.start()
    expire_leases(own)
    own.reconcile()
    kept = own.api.call("GET", "/v2/team/many/tags/list").json["tags"]
    images = dict(pushed)
    assert images.keys() <= {*kept}
    for tag in kept:
        manifest = own.api.call("GET", f"/v2/team/many/manifests/{tag}").json
        for part in (manifest["config"], *manifest["layers"]):
            path = f"/v2/team/many/blobs/{part['digest']}"
            assert digest_of(own.api.call("GET", path).body) == part["digest"]
    assert len(own.blobs()) == 3 * len(kept)
    assert list((own.data / "ingest").iterdir()) == []


def test_an_upload_expires(own: Serving) -> None:
    where = own.api.begin("team/app")
    own.api.call("PATCH", where, b"some")
    own.reconcile()
    assert own.api.call("GET", where).status == 204
    expire_leases(own)
    # A service that was away while the lease ended knows no such upload either.
    own.kill_and_restart()
    own.reconcile()
    assert own.api.call("GET", where).status == 404
    assert list((own.data / "ingest").iterdir()) == []


def test_a_client_that_dies(serving: Serving) -> None:
    """What came is kept; the upload goes on from there."""
    where = serving.api.begin("life/dies")
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 1000)
    processes.wait_for(
        lambda: serving.api.call("GET", where).status == 204, "the end of the request"
    )
    size = serving.api.call("GET", where).header("Range")
    rest = 1000 - int(size.partition("-")[2]) - 1 if size != "0-0" else 1000
    whole = b"x" * 1000
    done = serving.api.call("PUT", f"{where}?digest={digest_of(whole)}", whole[1000 - rest :])
    assert done.status == 201


def test_a_client_that_stalls(serving: Serving) -> None:
    """It is given up after `stall_seconds`, whether it sends or receives."""
    where = serving.api.begin("life/stalls")
    blob = serving.api.push_blob("life/stalls", os.urandom(8 << 20))
    with (
        socket.create_connection(("127.0.0.1", serving.port)) as sender,
        socket.socket() as receiver,
    ):
        sender.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx".encode())
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.connect(("127.0.0.1", serving.port))
        receiver.sendall(f"GET /v2/life/stalls/blobs/{blob} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for client in (sender, receiver):
            client.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(1 << 16) and client is sender:
                    pass
        processes.wait_for(
            lambda: open_blobs(serving) == [], "the end of the request that nobody reads"
        )
    assert serving.api.call("DELETE", where).status == 204


def test_too_many_connections() -> None:
    """Some beyond the limit are hung up on; so are those that ask for nothing. Others are served then."""
    with Serving(max_connections="4", stall_seconds="2") as own:
        address = ("127.0.0.1", own.port)
        clients = [socket.create_connection(address) for _ in range(6)]
        clients[0].sendall(b"GET /v2/ HTT")  # no whole request
        for client in clients:
            client.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
            client.close()
        assert own.api.call("GET", "/v2/").status == 200


def open_blobs(serving: Serving) -> list[str]:
    """Return the blobs that the service has open."""
    folder = Path(f"/proc/{serving.pid}/fd")
    found = []
    for each in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(each))
    return [path for path in found if "/blobs/sha256/" in path]


def test_requests_are_told(serving: Serving) -> None:
    """In the log, and in the figures."""
    serving.api.call("GET", "/v2/life/told/tags/list")
    assert '"path": "/v2/life/told/tags/list", "status": 404' in serving.log.read_text()
    figures = http_get(f"http://{serving.metrics}/metrics").decode()
    assert 'scow_registry_requests_total{method="GET",status="404"}' in figures
    assert 'scow_registry_request_seconds_count{method="GET"}' in figures


def test_the_same_blob_by_many(serving: Serving) -> None:
    data = os.urandom(1 << 20)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = [f"life/many{number % 3}" for number in range(16)]
        digests = {*pool.map(lambda name: serving.api.push_blob(name, data), names)}
    assert digests == {digest_of(data)}
    assert serving.api.call("GET", f"/v2/life/many0/blobs/{digest_of(data)}").body == data


def test_a_push_races_with_collection(serving: Serving) -> None:
    """Whatever collects, what is being pushed stays."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        collecting = [pool.submit(serving.reconcile) for _ in range(20)]
        for number in range(20):
            image = Image(f"race {number}")
            serving.api.push_image("life/race", "1", image)
            assert serving.api.call("GET", f"/v2/life/race/blobs/{image.id}").status == 200
        for each in collecting:
            each.result()


@pytest.mark.parametrize(
    ("path", "reference"),
    [
        ("/v2/library/short/manifests/1", "short:1"),
        ("/v2/short2/manifests/1", "docker.io/library/short2:1"),
        ("/v2/r.example/team/app/manifests/1", "r.example/team/app:1"),
        ("/v2/localhost/app/manifests/1", "localhost/app:1"),
        ("/v2/team/app/manifests/2?ns=r.example:5000", "r.example:5000/team/app:2"),
        ("/v2/library/short3/manifests/1?ns=docker.io", "short3:1"),
    ],
)
def test_names(path: str, reference: str, serving: Serving) -> None:
    """What a path means on this machine, and back."""
    image = Image(path)
    where, _, namespace = path.partition("?")
    for digest, blob in image.blobs.items():
        uploads = f"{where.partition('/manifests/')[0]}/blobs/uploads/?digest={digest}&{namespace}"
        serving.api.call("POST", uploads, blob, Content_Type="application/octet-stream")
    pushed = serving.api.call("PUT", path, image.manifest, Content_Type=OCI_MANIFEST)
    assert pushed.status == 201
    assert serving.image(reference).id == image.id
    assert serving.api.call("GET", path).body == image.manifest
    assert serving.api.call("GET", pushed.header("Location")).body == image.manifest


def test_a_name_of_its_own() -> None:
    with Serving(name="node.example:5000") as own:
        image = Image("own")
        own.api.push_image("team/app", "1", image)
        assert own.image("node.example:5000/team/app:1").id == image.id
        own.stub.Tag(pb.TagRequest(image=image.id, reference="nginx"))
        listed = own.api.call("GET", "/v2/_catalog").json["repositories"]
        assert listed == ["docker.io/library/nginx", "team/app"]
        path = "library/nginx/manifests/latest"
        assert own.api.call("GET", f"/v2/docker.io/{path}").body == image.manifest
        assert own.api.call("GET", f"/v2/{path}?ns=docker.io").body == image.manifest
        assert own.api.call("GET", f"/v2/{path}").status == 404


def test_without_rules_only_names_of_its_own_are_written() -> None:
    """What is called docker.io/... is taken for Docker Hub's."""
    image = Image("theirs")
    with Serving(name="node.example:5000", access="") as own:
        own.api.push_image("team/app", "1", image)
        for path in ("docker.io/library/nginx", "r.example/app"):
            answer = own.api.call("POST", f"/v2/{path}/blobs/uploads/")
            assert (answer.status, answer.code) == (403, "DENIED")
        own.stub.Tag(pb.TagRequest(image=image.id, reference="nginx"))
        manifest = "/v2/library/nginx/manifests/latest?ns=docker.io"
        assert own.api.call("GET", manifest).body == image.manifest
        assert own.api.call("PUT", manifest, image.manifest).status == 403
        assert own.api.call("DELETE", manifest).status == 403
    with Serving(access="") as own, Serving() as client:
        answer = own.api.call("POST", "/v2/team/app/blobs/uploads/")
        assert (answer.status, answer.code) == (403, "DENIED")
        client.api.push_image("team/app", "1", image)
        client.stub.Tag(pb.TagRequest(image=image.id, reference=f"{own.address}/team/app:1"))
        with pytest.raises(RegistryDenied, match="DENIED: anonymous may not"):
            push(client, f"{own.address}/team/app:1")


@pytest.mark.parametrize("serve", [{"read_only": "true"}, {"deletion": "false"}], ids=str)
def test_what_is_refused(serve: dict[str, str]) -> None:
    with Serving(**serve) as own:
        image = Image("stays")
        if "deletion" in serve:
            own.api.push_image("a/b", "1", image)
        changes = ["DELETE /v2/a/b/manifests/1", f"DELETE /v2/a/b/blobs/{image.id}"]
        if "read_only" in serve:
            changes += ["POST /v2/a/b/blobs/uploads/", "PUT /v2/a/b/manifests/1"]
        for change in changes:
            method, path = change.split()
            answer = own.api.call(method, path, b"")
            assert (answer.status, answer.code) == (405, "UNSUPPORTED")
        assert own.api.call("GET", "/v2/").status == 200


def test_a_port_in_use(serving: Serving) -> None:
    refused = Serving(address=serving.address)
    with pytest.raises(AssertionError, match="it ended"):
        refused.start()
    log = refused.log.read_text()
    assert f"somebody listens on {serving.address}" in log
    assert "Traceback" not in log
    refused.stop()
    shutil.rmtree(refused.base)


def test_the_end_drains(own: Serving) -> None:
    """A request under way is answered before the service ends."""
    where = own.api.begin("team/app")
    with socket.create_connection(("127.0.0.1", own.port)) as client:
        client.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1".encode())
        processes.wait_for(lambda: bool(open_ingests(own)), "the request")
        os.kill(own.pid, signal.SIGTERM)
        processes.wait_for(lambda: '"stopping"' in own.log.read_text(), "the signal")
        client.sendall(b"2")
        assert client.recv(100).startswith(b"HTTP/1.1 202 ")
    assert own.stop() == 0
    own.start()


def open_ingests(serving: Serving) -> list[str]:
    """Return the uploads that the service has open."""
    folder = Path(f"/proc/{serving.pid}/fd")
    links = []
    for each in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(each))
    return [path for path in links if "/ingest/" in path]
