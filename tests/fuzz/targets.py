"""What the fuzzers throw bytes at, and what may come of it: a result, or the errors that the module documents.

Each target takes any bytes. Hypothesis (`test_*.py`) and atheris (`atheris_run.py`) share them.
"""

from __future__ import annotations

import functools
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from yarl import URL

from scow.api.container.v1.container_pb2 import Container, ContainerConfig, MountSpec
from scow.api.image.v1 import image_pb2 as pb
from scow.api.volume.v1.volume_pb2 import MountRequest
from scow.client import mount_specs
from scow.container.model import image_config, validation
from scow.container.spec import document as specification
from scow.container.spec import process, signal_names
from scow.contract.errors import (
    DigestMismatch,
    ImageUnusable,
    InvalidArchive,
    InvalidArgument,
    InvalidConfig,
    InvalidManifest,
    InvalidMount,
    InvalidReference,
    LimitExceeded,
    PlatformNotFound,
    RegistryUnavailable,
)
from scow.core.archive.read.faults import Fault
from scow.core.archive.read.streams import TarStream
from scow.core.archive.read.tree import Tree
from scow.core.config import ImageSection
from scow.core.store import Store
from scow.image.archives.archive import Archive, File
from scow.image.archives.docker_archive import DockerArchive
from scow.image.archives.oci_layout import OciLayout
from scow.image.archives.plan import Planner
from scow.image.archives.splitter import Splitter
from scow.image.content.blobs import Blobs
from scow.image.layers.erofs.collect import Collector
from scow.image.layers.unpack.apply import Applier
from scow.image.metadata.tables import MIGRATIONS, ImageStore
from scow.image.oci import manifests
from scow.image.oci.platforms import Platform
from scow.image.oci.reference import Reference
from scow.image.registry_client.auth import parse_challenge
from scow.image.registry_client.endpoints import Endpoint
from scow.image.registry_client.errors import retry_after
from scow.image.registry_client.http import located
from scow.kernel.trees import remove_tree
from scow.network.dns import message
from scow.volume.mounts import requests as mount_requests
from scow.volume.mounts import resolution
from scow.words.dockerfile import changes
from tests.fuzz import dockerfiles

_MAX_BYTES = 1 << 22
_MAX_ENTRIES = 200
# Ranges of alternating ports, of three protocols.
_PORTS_MAX = 3 * (1 << 15)
_PLATFORM = Platform("linux", "amd64")


def reference(data: bytes) -> None:
    """A reference that is accepted survives its own text, and names nothing but itself."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = Reference.parse(text)
    except InvalidReference as error:
        error.to_details()
        return
    assert Reference.parse(str(found)) == found
    assert Reference.parse(found.familiar) == found
    for part in (found.domain, found.path, found.tag):
        assert ".." not in part.split("/")
        assert not part.startswith("/")
        assert part.isascii()
        assert part.isprintable()


def document(data: bytes) -> None:
    """A manifest or index has parts with digests; nothing else is raised than what a caller knows."""
    try:
        found = manifests.parse_document(data, manifests.OCI_MANIFEST, 128)
        if found.is_index:
            manifests.choose_manifest(data, _PLATFORM, "fuzz")
    except (InvalidManifest, LimitExceeded, PlatformNotFound) as error:
        error.to_details()
        return
    assert all(part.digest.startswith("sha256:") and part.size >= 0 for part in found.parts)


def configuration(data: bytes) -> None:
    """A configuration that is accepted can be written down and read again."""
    try:
        found = manifests.parse_configuration(data)
    except InvalidManifest as error:
        error.to_details()
        return
    assert pb.ImageConfig.FromString(found.config.SerializeToString()) == found.config
    assert all(diff_id.startswith("sha256:") for diff_id in found.diff_ids)
    assert -(1 << 63) <= found.created_ns < 1 << 63


def create(data: bytes) -> None:
    """From an image's configuration a container's description and its OCI document are made, or it is refused."""
    try:
        found = manifests.parse_configuration(data)
        described = Container(id="ab" * 32, name="fuzz", hostname="fuzz")
        described.config.CopyFrom(ContainerConfig(image="fuzz", publish_all=True, tty=True))
        validation.check(described.config)
        image_config.check(found.config)
        process.apply(described, pb.Image(id="sha256:" + "ab" * 32, config=found.config))
        process.image_volumes(process.mounts(described.config), found.config)
        assert len(process.ports(described)) <= _PORTS_MAX
        signal_names.parse(described.stop_signal)
        specification.make(described, [], specification.Surroundings(Path("/nowhere")))
    except (InvalidManifest, InvalidConfig, ImageUnusable, LimitExceeded) as error:
        error.to_details()
        return
    arguments = (*described.args, *described.env, described.working_dir, described.user)
    assert not any("\0" in text for text in arguments)
    assert described.working_dir.startswith("/")
    assert Container.FromString(described.SerializeToString()) == described


def change(data: bytes) -> None:
    """An instruction changes the configuration, or is refused."""
    config = pb.ImageConfig(env=["A=1"], exposed_ports=["80/tcp"])
    try:
        changes.apply(config, data.decode("utf-8", "replace").split("\0"))
    except InvalidArgument as error:
        error.to_details()
        return
    assert pb.ImageConfig.FromString(config.SerializeToString()) == config


def header(data: bytes) -> None:
    """Whatever a registry's headers say: a challenge, seconds, a URL or the error of none."""
    text = data.decode("latin-1")
    found = parse_challenge(text)
    assert found.scheme == found.scheme.lower()
    seconds = retry_after(text)
    assert seconds is None or seconds >= 0
    try:
        located(text, URL("https://registry.example/v2/"), Endpoint("registry.example"))
    except RegistryUnavailable as error:
        error.to_details()


@functools.cache
def _empty_store() -> tuple[ImageStore, Blobs]:
    folder = Path(tempfile.mkdtemp(prefix="scow-fuzz-store-"))
    try:
        return ImageStore(Store.open(folder / "image.db", MIGRATIONS)), Blobs(folder)
    finally:
        shutil.rmtree(folder)  # the open database is all that is needed


def archive(data: bytes) -> None:
    """An archive of images is split and planned, or refused; beside its ingests nothing is written."""
    base = Path(tempfile.mkdtemp(prefix="scow-fuzz-"))
    try:
        _plan(_split(data, base))
    except (Fault, InvalidArchive, InvalidManifest, LimitExceeded, DigestMismatch) as error:
        assert error.message
    finally:
        assert all(path.name.startswith("load.") and path.is_file() for path in base.iterdir())
        shutil.rmtree(base)


def _split(data: bytes, base: Path) -> Archive:
    found = Archive()

    def tell(message: dict[str, Any]) -> None:
        if "link" in message:
            found.link(message["link"], message["target"])
        elif "file" in message:
            path = base / f"load.{message['number']}"
            found.add(message["file"], File(path, message["size"], message["digest"]))

    stream = TarStream(_pieces(data), _MAX_BYTES)
    try:
        Splitter(stream, str(base / "load"), _MAX_ENTRIES, _MAX_BYTES, tell).run()
        stream.finish()
    finally:
        stream.close()
    return found


def _plan(found: Archive) -> None:
    settings = ImageSection()
    rows, blobs = _empty_store()
    planner = Planner(found, rows, None, settings.max_config_bytes)
    if found.find("index.json") is not None:
        OciLayout(found, planner, settings, None).read()
    if found.find("manifest.json") is not None:
        DockerArchive(found, planner, settings, rows, blobs).read()
    plan = planner.finish()
    assert all(file.digest == digest for digest, file in plan.blobs.items())


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1000] for at in range(0, len(data), 1000))


def index(data: bytes) -> str:
    """Return the kind of fault of a layer that is to be indexed, or nothing."""
    stream = TarStream(_pieces(data), _MAX_BYTES)
    try:
        Collector(stream, _MAX_ENTRIES).run()
        stream.finish()
    except Fault as fault:
        assert fault.message
        return fault.kind
    finally:
        stream.close()
    return ""


def unpack(data: bytes) -> str:
    """Return the kind of fault of a layer that is unpacked, or nothing; beside its folder nothing changes."""
    base = Path(tempfile.mkdtemp(prefix="scow-fuzz-"))
    try:
        (base / "outside").write_text("untouched")
        (base / "layer").mkdir()
        kind = _unpack(data, base / "layer")
        assert sorted(path.name for path in base.iterdir()) == ["layer", "outside"]
        assert (base / "outside").read_text() == "untouched"
        assert (base / "outside").stat().st_nlink == 1
        return kind
    finally:
        remove_tree(base)


def _unpack(data: bytes, target: Path) -> str:
    stream = TarStream(_pieces(data), _MAX_BYTES)
    tree = Tree(str(target))
    try:
        Applier(tree, stream, _MAX_ENTRIES).run()
        stream.finish()
    except Fault as fault:
        assert fault.message
        return fault.kind
    finally:
        tree.close()
        stream.close()
    return ""


def layer(data: bytes) -> None:
    """Both forms of a layer refuse the same, for the same kind of reason."""
    kind = index(data)
    assert unpack(data) == kind


# Those that touch no file system, so that a fuzzer does thousands in a second.
def question(data: bytes) -> None:
    """What a container asks: it is refused, or answered and passed on as it was meant."""
    try:
        query = message.parse(data)
    except message.MalformedError as error:
        refused = message.rejection(data, error)
        assert refused is None or refused[2] & 0x80
        return
    records = [message.record(message.A, 5, b"\x0a\0\0\2")] * 99
    assert len(message.answer(query, records, query.size)) <= query.size
    assert message.parse(message.forwarded(query, 1)).key == query.key
    assert message.name_of_wire(query.name) is not None


def answer(data: bytes) -> None:
    """What a name server answers: it is passed over, or kept and given back with as many bytes."""
    query = message.parse(b"\0\1\1\0\0\1\0\0\0\0\0\0\3web\0\0\1\0\1")
    if not message.answers(data, query, 1):
        return
    try:
        life = message.lifetime(data)
    except message.MalformedError:
        return
    assert len(message.aged(data, life, 3)) == len(data)
    assert (
        message.returned(data, query)[12 + len(query.question) :]
        == data[12 + len(query.question) :]
    )
    assert len(message.returned(data, query, 512)) <= 512


def mounts(data: bytes) -> None:
    """What people write for mounts becomes requests that keep what the volume service relies on, or is refused."""
    text = data.decode("utf-8", "replace")
    for parse in (mount_specs.parse_volume, mount_specs.parse_mount, mount_specs.parse_tmpfs):
        try:
            spec = MountSpec(**parse(text))
        except ValueError:
            continue
        request = MountRequest.FromString(spec.SerializeToString())
        try:
            mount_requests.check_all([request])
        except InvalidMount as error:
            error.to_details()
            continue
        assert request.target.startswith("/")
        assert posixpath.normpath(request.target) not in ("/", "//")
        assert not posixpath.normpath(request.subpath or ".").startswith(("/", "../"))
        if request.type == "tmpfs":
            assert resolution.tmpfs(request).destination == request.target


QUICK: dict[str, Callable[[bytes], object]] = {
    "reference": reference,
    "document": document,
    "configuration": configuration,
    "create": create,
    "change": change,
    "header": header,
    "index": index,
    "question": question,
    "answer": answer,
    "mounts": mounts,
    "archive": archive,
    **dockerfiles.TARGETS,
}
TARGETS = {**QUICK, "layer": layer}
