"""Volumes of a plugin: a process that really mounts, and does wrong what a plugin can do wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.volume.v1 import plugin_pb2 as pb
from scow.api.volume.v1 import volume_pb2
from tests.support.volumeplugin import VolumePlugin
from tests.support.volumeservice import VolumeService, reason

OWNER = "container/1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "plugins"


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[VolumeService]:
    settings = {
        "SCOW_VOLUME_PLUGIN_DIRS": f"{folder},{folder}-specs",
        "SCOW_VOLUME_PLUGIN_SECONDS": "1",
    }
    with VolumeService(settings=settings) as running:
        yield running


@pytest.fixture
def plugin(service: VolumeService, folder: Path) -> Iterator[VolumePlugin]:
    with VolumePlugin(folder, "tmp") as running:
        yield running
        running.behave()
        service.volumes.Release(volume_pb2.ReleaseRequest(owner=OWNER))
        for volume in service.volumes.List(volume_pb2.ListRequest()).volumes:
            service.volumes.Remove(volume_pb2.RemoveRequest(name=volume.name))
        assert running.mounted() == []


def create(service: VolumeService) -> volume_pb2.Volume:
    request = volume_pb2.CreateRequest(name="data", driver="tmp")
    made: volume_pb2.Volume = service.volumes.Create(request).volume
    return made


def activate(service: VolumeService) -> volume_pb2.ResolvedMount:
    mounts = [volume_pb2.MountRequest(type="volume", source="data", target="/data")]
    service.volumes.Acquire(volume_pb2.AcquireRequest(owner=OWNER, mounts=mounts))
    response = service.volumes.Activate(volume_pb2.ActivateRequest(owner=OWNER))
    mount: volume_pb2.ResolvedMount = response.mounts[0]
    return mount


def get(service: VolumeService) -> volume_pb2.Volume:
    found: volume_pb2.Volume = service.volumes.Get(volume_pb2.GetRequest(name="data")).volume
    return found


def fails(call: object, request: object) -> str:
    assert callable(call)
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return reason(caught.value)


def test_life(service: VolumeService, plugin: VolumePlugin) -> None:
    made = create(service)
    assert (made.driver, made.scope, made.fault) == ("tmp", "global", "")
    mount = activate(service)
    assert mount.driver == "tmp"
    assert plugin.mounted() == ["data"]
    assert get(service).mountpoint == str(plugin.folder / "volumes/data/mount")
    service.volumes.Deactivate(volume_pb2.DeactivateRequest(owner=OWNER))
    assert plugin.mounted() == []
    service.volumes.Release(volume_pb2.ReleaseRequest(owner=OWNER))
    service.volumes.Remove(volume_pb2.RemoveRequest(name="data"))
    assert list((plugin.folder / "volumes").iterdir()) == []
    assert plugin.calls()[:3] == [
        "Plugin.Activate",
        "VolumeDriver.Capabilities",
        "VolumeDriver.Create",
    ]


def test_one_that_is_away_loses_nothing(service: VolumeService, plugin: VolumePlugin) -> None:
    create(service)
    activate(service)
    plugin.stop()
    service.volumes.Reconcile(volume_pb2.ReconcileRequest())
    assert "cannot be asked" in get(service).fault
    # The container ends meanwhile: it is unmounted when the plugin is back.
    service.volumes.Deactivate(volume_pb2.DeactivateRequest(owner=OWNER))
    service.volumes.Release(volume_pb2.ReleaseRequest(owner=OWNER))
    remove = volume_pb2.RemoveRequest(name="data")
    assert fails(service.volumes.Remove, remove) in ("VOLUME_IN_USE", "PLUGIN_UNAVAILABLE")
    plugin.socket.unlink()
    assert get(service).fault == "plugin tmp is not there"
    service.kill_and_restart()
    assert get(service).driver == "tmp"
    plugin.start()
    service.volumes.Reconcile(volume_pb2.ReconcileRequest())
    assert (get(service).fault, plugin.mounted()) == ("", ["data"])
    service.volumes.Deactivate(volume_pb2.DeactivateRequest(owner=OWNER))
    assert plugin.mounted() == []


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("hang", "PLUGIN_UNAVAILABLE"),
        ("crash", "PLUGIN_UNAVAILABLE"),
        ("rubbish", "PLUGIN_FAULTY"),
        ("array", "PLUGIN_FAULTY"),
        ("huge", "PLUGIN_FAULTY"),
        ("path", "PLUGIN_FAULTY"),
        ("nothttp", "PLUGIN_UNAVAILABLE"),
        ("status", "PLUGIN_REFUSED"),
    ],
)
def test_wrong_mounts(
    service: VolumeService, plugin: VolumePlugin, behaviour: str, expected: str
) -> None:
    create(service)
    plugin.misbehave(behaviour, "VolumeDriver.Mount")
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        activate(service)
    assert reason(caught.value) == expected
    assert time.monotonic() - began < 30
    if behaviour == "crash":
        plugin.start()
    plugin.behave()
    activate(service)
    assert plugin.mounted() == ["data"]


@pytest.mark.parametrize(
    ("behaviour", "method", "expected"),
    [
        ("rubbish", "Plugin.Activate", "PLUGIN_FAULTY"),
        ("kind", "Plugin.Activate", "PLUGIN_FAULTY"),
        ("hang", "VolumeDriver.Create", "PLUGIN_UNAVAILABLE"),
        ("status", "VolumeDriver.Create", "PLUGIN_REFUSED"),
    ],
)
def test_wrong_creations_leave_no_volume(
    service: VolumeService, plugin: VolumePlugin, behaviour: str, method: str, expected: str
) -> None:
    plugin.misbehave(behaviour, method)
    request = volume_pb2.CreateRequest(name="data", driver="tmp")
    assert fails(service.volumes.Create, request) == expected
    assert list(service.volumes.List(volume_pb2.ListRequest()).volumes) == []


def test_a_removal_that_fails_keeps_the_volume(
    service: VolumeService, plugin: VolumePlugin
) -> None:
    create(service)
    remove = volume_pb2.RemoveRequest(name="data")
    for behaviour, method in (("status", "VolumeDriver.Remove"), ("list", "VolumeDriver.List")):
        plugin.misbehave(behaviour, method)
        assert fails(service.volumes.Remove, remove) in ("PLUGIN_REFUSED", "PLUGIN_FAULTY")
        assert get(service).name == "data"


def test_disabled(service: VolumeService, plugin: VolumePlugin) -> None:
    create(service)
    activate(service)
    disable = pb.DisablePluginRequest(name="tmp")
    assert fails(service.plugins.DisablePlugin, disable) == "PLUGIN_IN_USE"
    service.plugins.DisablePlugin(pb.DisablePluginRequest(name="tmp", force=True))
    service.kill_and_restart()
    request = volume_pb2.CreateRequest(name="other", driver="tmp")
    assert fails(service.volumes.Create, request) == "PLUGIN_DISABLED"
    service.volumes.Deactivate(volume_pb2.DeactivateRequest(owner=OWNER))
    assert plugin.mounted() == []
    assert (
        fails(service.volumes.Activate, volume_pb2.ActivateRequest(owner=OWNER))
        == "PLUGIN_DISABLED"
    )
    service.plugins.EnablePlugin(pb.EnablePluginRequest(name="tmp"))
    activate(service)
    described = service.plugins.GetPlugin(pb.GetPluginRequest(name="tmp")).plugin
    assert (described.enabled, list(described.volumes)) == (True, ["data"])


def test_specifications(service: VolumeService, plugin: VolumePlugin, folder: Path) -> None:
    specs = folder.with_name(f"{folder.name}-specs")
    specs.mkdir(exist_ok=True)
    (specs / "line.spec").write_text(f"unix://{plugin.socket}\n")
    (specs / "object.json").write_text(json.dumps({"Name": "x", "Addr": f"unix://{plugin.socket}"}))
    (specs / "remote.spec").write_text("tcp://192.0.2.1:80")
    (specs / "bad.json").write_text("{")
    (specs / "list.json").write_text("[]")
    (specs / "big.spec").write_text("x" * 100_000)
    (specs / "folder.spec").mkdir(exist_ok=True)
    (specs / "-odd.spec").write_text("unix:///x")
    listed = service.plugins.ListPlugins(pb.ListPluginsRequest()).plugins
    usable = {each.name: not each.fault for each in listed}
    assert usable == {
        **dict.fromkeys(("line", "object", "tmp"), True),
        **dict.fromkeys(("bad", "big", "folder", "list", "remote"), False),
    }
    assert {tuple(each.implements) for each in listed if not each.fault} == {("VolumeDriver",)}
    made = service.volumes.Create(volume_pb2.CreateRequest(name="data", driver="line")).volume
    assert made.fault == ""
    request = volume_pb2.CreateRequest(name="other", driver="remote")
    assert fails(service.volumes.Create, request) == "PLUGIN_UNAVAILABLE"


def test_names_that_are_no_plugins(service: VolumeService) -> None:
    for name in ("none", "../../etc/passwd", "a/b", "ü"):
        request = volume_pb2.CreateRequest(name="data", driver=name)
        assert fails(service.volumes.Create, request) == "INVALID_ARGUMENT"
    asked = pb.GetPluginRequest(name="none")
    assert fails(service.plugins.GetPlugin, asked) == "PLUGIN_NOT_FOUND"
