"""The public surface of the library is one list, and importing it costs nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import scow.client
from scow.client import AsyncClient

_ROOT = Path(__file__).resolve().parents[3]
_FACES = (
    "containers",
    "images",
    "manifests",
    "store",
    "volumes",
    "snapshots",
    "secrets",
    "plugins",
    "networks",
)


def test_the_list_is_what_there_is() -> None:
    for name in scow.client.__all__:
        assert getattr(scow.client, name) is not None
    listed = {name for name in dir(scow.client) if not name.startswith("_")}
    assert listed - {
        "annotations",
        "TYPE_CHECKING",
        "credentials",
        "mount_specs",
        "specs",
        "supervision_specs",
    } == set(scow.client.__all__)


def test_the_list_is_sorted_and_says_nothing_twice() -> None:
    names = scow.client.__all__
    assert len(names) == len(set(names))


def test_each_class_says_that_it_is_public() -> None:
    for name in scow.client.__all__:
        value = getattr(scow.client, name)
        if inspect.isclass(value):
            assert value.__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nope"):
        scow.client.Nope  # noqa: B018


def test_both_faces_have_the_same_methods() -> None:
    for name in scow.client.__all__:
        if not name.startswith("Async"):
            continue
        sync = getattr(scow.client, name.removeprefix("Async"))
        both = [
            {member for member in dir(face) if not member.startswith("_")}
            for face in (getattr(scow.client, name), sync)
        ]
        assert both[0] == both[1], name


def test_public_methods_have_an_example(tmp_path: Path) -> None:
    client = AsyncClient(f"unix://{tmp_path}")
    for face in _FACES:
        service = getattr(client, face)
        for name, method in inspect.getmembers(service, inspect.ismethod):
            if not name.startswith("_"):
                assert "Example::" in (method.__doc__ or ""), f"{face}.{name}"


def test_importing_the_library_imports_no_transport() -> None:
    code = "import sys, scow.client; print([m for m in ('grpc', 'google.protobuf') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_face_does_not_import_the_other() -> None:
    code = (
        "import sys; from scow.client import Client; Client('unix:///x').containers;"
        "print([m for m in ('scow.client._async', 'scow.client._aio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_asking_for_containers_does_not_import_what_only_copies_and_prunes_need() -> None:
    code = (
        "import sys; from scow.client import Client; Client('unix:///x').containers;"
        "print([m for m in ('tarfile', 'shutil', 'lzma', 'scow.words.template') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_sync_client_is_generated(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, _ROOT / "deploy/generate-sync-client", tmp_path / "_sync"], check=True
    )
    committed = _ROOT / "client/scow/client/_sync"
    names = sorted(path.name for path in (tmp_path / "_sync").glob("*.py"))
    assert names == sorted(path.name for path in committed.glob("*.py"))
    for name in names:
        generated = (tmp_path / "_sync" / name).read_text()
        assert generated == (committed / name).read_text(), f"{name}: run make sync-client"
