"""Verbs against services on real sockets: what they ask, what they print, how they end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2_grpc import ContainerServiceServicer
from scow.api.image.v1 import image_pb2, layer_pb2
from scow.api.image.v1.image_pb2_grpc import ImageServiceServicer
from scow.api.image.v1.layer_pb2_grpc import LayerServiceServicer
from scow.api.network.v1 import network_pb2
from scow.api.network.v1.network_pb2_grpc import NetworkServiceServicer
from scow.api.volume.v1 import quota_pb2, volume_pb2
from scow.api.volume.v1.quota_pb2_grpc import QuotaServiceServicer
from scow.api.volume.v1.volume_pb2_grpc import VolumeServiceServicer
from scow.cli.__main__ import command
from scow.contract.errors import (
    CommandNotExecutable,
    CommandNotFound,
    ContainerNotFound,
    ContainerRunning,
    ImageNotFound,
    InvalidReference,
    NameInUse,
    NetworkNotFound,
    VolumeInUse,
    VolumeNotFound,
)
from tests.unit.client.toy import fail, serving

Context = grpc.ServicerContext
_IMAGE = image_pb2.Image(
    id="sha256:" + "1" * 64,
    references=["docker.io/library/busybox:latest"],
    config=image_pb2.ImageConfig(entrypoint=["/entry"], cmd=["sh"]),
)


def _web() -> pb.Container:
    return pb.Container(
        id="c" * 64,
        name="web",
        image_id=_IMAGE.id,
        args=["/entry", "sh"],
        status=pb.STATUS_RUNNING,
        config=pb.ContainerConfig(image="busybox"),
        labels={"tier": "front"},
    )


class Containers(ContainerServiceServicer):
    """Has one container, `web`."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def _find(self, name: str, context: Context) -> pb.Container:
        if name not in ("web", "c" * 64):
            fail(
                context,
                ContainerNotFound(
                    f"no such container: {name}", what="container", which=name, do="see scow ps -a"
                ),
            )
        return _web()

    def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:  # noqa: N802
        self.requests.append(request)
        if request.name == "web":
            fail(context, NameInUse("the name web is in use", what="container", which="web"))
        return pb.CreateResponse(container=_web(), warnings=["swap is not limited"])

    def Start(self, request: pb.StartRequest, context: Context) -> pb.StartResponse:  # noqa: N802
        return pb.StartResponse(container=self._find(request.container, context))

    def Stop(self, request: pb.StopRequest, context: Context) -> pb.StopResponse:  # noqa: N802
        self.requests.append(request)
        return pb.StopResponse(container=self._find(request.container, context))

    def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:  # noqa: N802
        self.requests.append(request)
        self._find(request.container, context)
        if not request.force:
            fail(context, ContainerRunning("web is running", what="container", do="stop it"))
        return pb.RemoveResponse()

    def Wait(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:  # noqa: N802
        self._find(request.container, context)
        return pb.WaitResponse(exit_code=7)

    def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:  # noqa: N802
        found = self._find(request.container, context)
        return pb.GetResponse(container=found, size_rw=5 if request.size else 0)

    def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:  # noqa: N802
        self.requests.append(request)
        return pb.ListResponse(containers=[_web()])

    def Logs(self, request: pb.LogsRequest, context: Context) -> Iterator[pb.LogsResponse]:  # noqa: N802
        self.requests.append(request)
        for record in (
            pb.LogsResponse(stdout=b"a"),
            pb.LogsResponse(stdout=b"b\n"),
            pb.LogsResponse(stderr=b"c\n"),
        ):
            record.time.FromNanoseconds(1_136_214_245_000_000_005)
            yield record

    def Attach(  # noqa: N802
        self, requests: Iterator[pb.AttachRequest], context: Context
    ) -> Iterator[pb.AttachResponse]:
        self.requests.append(next(requests).open)
        yield pb.AttachResponse(attached=True)
        yield pb.AttachResponse(stdout=b"out\n")
        yield pb.AttachResponse(exit=pb.AttachResponse.Exit(code=137))

    def Exec(  # noqa: N802
        self, requests: Iterator[pb.ExecRequest], context: Context
    ) -> Iterator[pb.ExecResponse]:
        opened = next(requests).open
        self.requests.append(opened)
        word = opened.config.args[0]
        if word == "missing":
            fail(context, CommandNotFound("no such command", what="command", which=word))
        if word == "plain":
            fail(context, CommandNotExecutable("not executable", what="command", which=word))
        yield pb.ExecResponse(started=pb.ExecResponse.Started(exec_id="e1", pid=7))
        yield pb.ExecResponse(exit=pb.ExecResponse.Exit(code=4))


class Images(ImageServiceServicer, LayerServiceServicer):
    """Has one image, busybox, about which a stranger says something.

    Args:
        said: What.
    """

    def __init__(self, said: bytes = b"") -> None:
        self._said = said

    def GetAttestations(  # noqa: N802
        self, request: layer_pb2.GetAttestationsRequest, context: Context
    ) -> layer_pb2.GetAttestationsResponse:
        found = layer_pb2.Attestation(
            predicate_type="https://spdx.dev/Document", statement=self._said
        )
        return layer_pb2.GetAttestationsResponse(attestations=[found])

    def Get(self, request: image_pb2.GetRequest, context: Context) -> image_pb2.GetResponse:  # noqa: N802
        if request.image.isupper():
            fail(context, InvalidReference("no reference", what="image", which=request.image))
        if request.image not in ("busybox", _IMAGE.id):
            fail(context, ImageNotFound("no such image", what="image", which=request.image))
        return image_pb2.GetResponse(image=_IMAGE)

    def List(self, request: image_pb2.ListRequest, context: Context) -> image_pb2.ListResponse:  # noqa: N802
        if request.filters and request.filters[0].values != ["busybox"]:
            return image_pb2.ListResponse()
        return image_pb2.ListResponse(images=[_IMAGE])

    def Remove(  # noqa: N802
        self, request: image_pb2.RemoveRequest, context: Context
    ) -> image_pb2.RemoveResponse:
        return image_pb2.RemoveResponse(untagged=["busybox:latest"], deleted=[_IMAGE.id])


class Networks(NetworkServiceServicer):
    """Has one network, bridge."""

    def Get(self, request: network_pb2.GetRequest, context: Context) -> network_pb2.GetResponse:  # noqa: N802
        if request.network != "bridge":
            fail(context, NetworkNotFound("no such network", which=request.network))
        return network_pb2.GetResponse(network=network_pb2.Network(name="bridge", id="n" * 64))

    def List(self, request: network_pb2.ListRequest, context: Context) -> network_pb2.ListResponse:  # noqa: N802
        bridge = network_pb2.Network(name="bridge", id="n" * 64, driver="bridge", scope="local")
        return network_pb2.ListResponse(networks=[bridge])


class Volumes(VolumeServiceServicer, QuotaServiceServicer):
    """Has one volume, data, which is in use and has no limits."""

    def GetLimits(  # noqa: N802
        self, request: quota_pb2.GetLimitsRequest, context: Context
    ) -> quota_pb2.GetLimitsResponse:
        return quota_pb2.GetLimitsResponse()

    def Get(self, request: volume_pb2.GetRequest, context: Context) -> volume_pb2.GetResponse:  # noqa: N802
        if request.name != "data":
            fail(context, VolumeNotFound("no such volume", which=request.name))
        return volume_pb2.GetResponse(volume=volume_pb2.Volume(name="data", mountpoint="/v"))

    def List(self, request: volume_pb2.ListRequest, context: Context) -> volume_pb2.ListResponse:  # noqa: N802
        return volume_pb2.ListResponse(volumes=[volume_pb2.Volume(name="data", driver="local")])

    def Create(  # noqa: N802
        self, request: volume_pb2.CreateRequest, context: Context
    ) -> volume_pb2.CreateResponse:
        volume = volume_pb2.Volume(name=request.name or "made_up", labels=request.labels)
        return volume_pb2.CreateResponse(volume=volume)

    def Remove(  # noqa: N802
        self, request: volume_pb2.RemoveRequest, context: Context
    ) -> volume_pb2.RemoveResponse:
        fail(context, VolumeInUse("data is in use", what="volume", which="data", do="remove web"))


class Shell:
    """Runs command lines and keeps what they printed."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = command(arguments)
        self.out, self.err = self._capfd.readouterr()
        return code


@pytest.fixture
def containers() -> Containers:
    return Containers()  # type: ignore[abstract]  # without what is not called


@pytest.fixture
def scow(
    tmp_path: Path,
    containers: Containers,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    monkeypatch.setenv("SCOW_HOST", f"unix://{tmp_path}")
    others = (Images(), Networks(), Volumes())  # type: ignore[abstract]
    with serving(tmp_path, containers, *others):
        yield Shell(capfd)


def test_ps(scow: Shell, containers: Containers) -> None:
    assert scow("ps", "--filter", "label=tier=front", "-f", "label=x") == 0
    head, line = scow.out.splitlines()
    assert head.split("  ")[0] == "CONTAINER ID"
    assert line.startswith('cccccccccccc   busybox   "/entry sh"')
    assert line.endswith("web")
    request = containers.requests[-1]
    assert [(f.key, list(f.values)) for f in request.filters] == [("label", ["tier=front", "x"])]
    assert not request.all


@pytest.mark.parametrize(
    ("flags", "is_all", "limit"),
    [
        (["-a"], True, 0),
        (["-n", "3"], True, 3),
        (["-l"], True, 1),
        (["-f", "status=exited"], True, 0),
        ([], False, 0),
    ],
)
def test_ps_asks_for_what_is_shown(
    scow: Shell, containers: Containers, flags: list[str], is_all: bool, limit: int
) -> None:
    assert scow("ps", *flags) == 0
    assert (containers.requests[-1].all, containers.requests[-1].page_size) == (is_all, limit)


def test_ps_formats(scow: Shell) -> None:
    assert (scow("ps", "-q"), scow.out) == (0, "c" * 12 + "\n")
    assert (scow("ps", "-q", "--no-trunc"), scow.out) == (0, "c" * 64 + "\n")
    assert (scow("ps", "--format", '{{.Names}} {{.Label "tier"}}'), scow.out) == (0, "web front\n")
    assert scow("ps", "--format", "json") == 0
    assert json.loads(scow.out)["Names"] == "web"
    assert scow("ps", "-s") == 0
    assert "SIZE" in scow.out
    assert "5B" in scow.out
    assert scow("container", "ls", "--format", "{{.Nope}}") == 1
    assert "can't evaluate field Nope" in scow.err


def test_inspect_finds_any_kind(scow: Shell) -> None:
    assert scow("inspect", "web", "busybox", "bridge", "data") == 0
    shapes = json.loads(scow.out)
    assert [shape.get("Name", shape.get("RepoTags")) for shape in shapes] == [
        "/web",
        ["busybox:latest"],
        "bridge",
        "data",
    ]
    # The image tells what of the arguments is its entry point.
    assert (shapes[0]["Config"]["Entrypoint"], shapes[0]["Config"]["Cmd"]) == (["/entry"], ["sh"])


def test_inspect_shows_what_there_is_and_tells_the_rest(scow: Shell) -> None:
    assert scow("inspect", "nope", "web", "NOPE") == 1
    assert [shape["Name"] for shape in json.loads(scow.out)] == ["/web"]
    assert scow.err.splitlines()[0].startswith("scow: no such object: nope: list what there is")
    assert len(scow.err.splitlines()) == 2
    assert (scow("inspect", "nope"), scow.out) == (1, "[]\n")


def test_inspect_of_one_kind(scow: Shell) -> None:
    assert scow("inspect", "--type", "image", "web") == 1
    assert "no such image" in scow.err
    assert scow("container", "inspect", "nope") == 1
    assert scow.err == "scow: no such container: nope: see scow ps -a\n"
    assert scow("inspect", "--type", "pod", "web") == 125
    assert scow("container", "inspect", "-s", "-f", "{{.SizeRw}}", "web") == 0
    assert scow.out == "5\n"


def test_inspect_templates(scow: Shell) -> None:
    template = "{{.Name}} {{.State.Status}} {{json .Config.Labels}}"
    assert scow("inspect", "-f", template, "web") == 0
    assert scow.out == '/web running {"tier":"front"}\n'
    assert scow("inspect", "-f", "{{.Config.Cmd}}", "web") == 0
    assert scow.out == "[sh]\n"
    assert scow("inspect", "-f", "{{.Nope}}", "web") == 1
    assert 'map has no entry for key "Nope"' in scow.err
    assert scow("inspect", "-f", "{{.Nope", "web") == 64
    assert scow.err == "scow: template parsing error: template: :1: unclosed action\n"


@pytest.mark.parametrize(
    ("said", "code", "out", "told"),
    [
        (b'{"predicate": {"packages": []}}', 0, '{"packages":[]}\n', ""),
        (b"not json", 1, "", "cannot be read: "),
        (b"[" * 100_000, 1, "", "it nests too deep"),
        (b"[]", 1, "", "it is not an in-toto statement"),
        (b'{"predicate": 1}', 1, "", "it is not an in-toto statement"),
        (b"{}", 1, "", "it is not an in-toto statement"),
    ],
)
def test_what_strangers_say_about_images(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    said: bytes,
    code: int,
    out: str,
    told: str,
) -> None:
    monkeypatch.setenv("SCOW_HOST", f"unix://{tmp_path}")
    shell = Shell(capfd)
    with serving(tmp_path, Images(said)):  # type: ignore[abstract]
        assert shell("image", "inspect", "-f", "{{json .SBOM}}", "busybox") == code
    assert (shell.out.strip(), told in shell.err) == (out.strip(), True)
    assert len(shell.err.splitlines()) == bool(told)


def test_images(scow: Shell) -> None:
    assert scow("images") == 0
    assert scow.out.splitlines()[1].split()[:3] == ["busybox", "latest", "1" * 12]
    assert (scow("images", "-q", "busybox"), scow.out) == (0, "1" * 12 + "\n")
    assert (scow("image", "ls", "-q", "other"), scow.out) == (0, "")
    assert (scow("images", "-q", "-f", ""), scow.out) == (0, "1" * 12 + "\n")
    assert scow("image", "prune", "-f", "--filter", "") == 125, "everything is pruned then"
    assert scow("rmi", "busybox") == 0
    assert scow.out == f"Untagged: busybox:latest\nDeleted: {_IMAGE.id}\n"


def test_networks_and_volumes(scow: Shell) -> None:
    assert scow("network", "ls") == 0
    assert scow.out.splitlines() == [
        "NETWORK ID     NAME      DRIVER    SCOPE",
        "nnnnnnnnnnnn   bridge    bridge    local",
    ]
    assert scow("network", "inspect", "-f", "{{.Id}}", "bridge", "nope") == 1
    assert scow.out == "n" * 64 + "\n"
    assert scow("volume", "ls") == 0
    assert scow.out.splitlines() == ["DRIVER    VOLUME NAME", "local     data"]
    assert (scow("volume", "create", "--label", "a=b", "x"), scow.out) == (0, "x\n")
    assert scow("volume", "rm", "data") == 1
    assert scow.err == "scow: data is in use: remove web\n"
    assert (scow("volume", "inspect", "-f", "{{.Mountpoint}}", "data"), scow.out) == (0, "/v\n")


def test_several_objects_are_answered_in_order(scow: Shell, containers: Containers) -> None:
    assert scow("stop", "-t", "3", "web", "nope", "c" * 64) == 1
    assert scow.out.splitlines() == ["web", "c" * 64]
    assert scow.err == "scow: no such container: nope: see scow ps -a\n"
    assert {request.timeout for request in containers.requests} == {3}


def test_stop_without_a_timeout_leaves_it_to_the_container(
    scow: Shell, containers: Containers
) -> None:
    assert scow("stop", "web") == 0
    assert not containers.requests[-1].HasField("timeout")


def test_rm(scow: Shell) -> None:
    assert scow("rm", "web") == 1
    assert scow.err == "scow: web is running: stop it\n"
    assert (scow("rm", "-f", "web"), scow.out) == (0, "web\n")
    # What is gone already is as it shall be.
    assert scow("rm", "-f", "nope") == 0
    assert scow("rm", "nope") == 1


def test_wait_prints_the_exit_code(scow: Shell) -> None:
    assert (scow("wait", "web"), scow.out) == (0, "7\n")


def test_logs(scow: Shell, containers: Containers) -> None:
    assert scow("logs", "--tail", "5", "--since", "10m", "web") == 0
    assert (scow.out, scow.err) == ("ab\n", "c\n")
    assert containers.requests[-1].tail == 5
    assert containers.requests[-1].HasField("since")
    assert scow("logs", "-t", "-n", "all", "web") == 0
    assert scow.out == "2006-01-02T15:04:05.000000005Z ab\n"
    assert not containers.requests[-1].HasField("tail")
    for every in ("x", "-1", "", "1.5", "9" * 30, "٣"):
        assert scow("logs", "--tail", every, "web") == 0
        assert not containers.requests[-1].HasField("tail"), every
    assert scow("logs", "--since", "-5m", "--until", "", "web") == 0
    assert containers.requests[-1].since.seconds > time.time() + 200
    assert not containers.requests[-1].HasField("until")


def test_a_cidfile_that_cannot_be_written_makes_no_container(
    scow: Shell, containers: Containers, tmp_path: Path
) -> None:
    assert scow("run", "-d", "--cidfile", f"{tmp_path}/no/x", "busybox") == 125
    assert f"open {tmp_path}/no/x: no such file or directory" in scow.err
    assert scow("create", "--cidfile", f"{tmp_path}/no/x", "busybox") == 1
    assert containers.requests == []


def test_a_refused_container_leaves_no_cidfile(scow: Shell, tmp_path: Path) -> None:
    assert scow("run", "-d", "--name", "web", "--cidfile", f"{tmp_path}/x", "busybox") == 125
    assert not list(tmp_path.glob("x"))


def test_run_in_the_foreground_has_the_container_s_exit_code(
    scow: Shell, containers: Containers
) -> None:
    assert scow("run", "--name", "job", "busybox", "true") == 137
    assert scow.out == "out\n"
    assert scow.err == "WARNING: swap is not limited\n"
    assert containers.requests[-1].start


def test_run_in_the_background_prints_the_id(scow: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    assert scow("run", "-d", "--cidfile", str(file), "busybox") == 0
    assert scow.out == "c" * 64 + "\n"
    assert file.read_text() == "c" * 64
    assert scow("run", "-d", "--cidfile", str(file), "busybox") == 125
    assert "container ID file found" in scow.err


def test_what_the_engine_refuses(scow: Shell) -> None:
    assert scow("run", "--name", "web", "busybox") == 125
    assert scow.err == "scow: the name web is in use\n"
    assert scow("create", "--name", "web", "busybox") == 1
    assert scow("run", "-it", "-d", "-a", "stdin", "busybox") == 125
    assert "cannot specify both --attach and --detach" in scow.err


@pytest.mark.parametrize(("word", "code"), [("true", 4), ("missing", 127), ("plain", 126)])
def test_exec(scow: Shell, word: str, code: int) -> None:
    assert scow("exec", "web", word) == code


def test_exec_options(scow: Shell, containers: Containers) -> None:
    assert scow("exec", "-d", "-u", "1", "-w", "/x", "-e", "A=1", "web", "ls", "-l") == 0
    config = containers.requests[-1].config
    assert (config.user, config.working_dir, list(config.env)) == ("1", "/x", ["A=1"])
    assert list(config.args) == ["ls", "-l"]
    assert containers.requests[-1].detach


def test_version(scow: Shell) -> None:
    # These services have no health service.
    assert scow("version", "--format", "{{.Client.Os}}") == 1
    assert scow.out == "linux\n"
    assert scow("version", "--format", "{{.Server.Version}}") == 1
    assert scow.out == ""
    assert "no service answers" in scow.err
