"""Archives of images: made by hand, loaded into a service and saved by it over a bare channel."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from scow.api.image.v1 import archive_pb2 as pb
from scow.api.image.v1.archive_pb2_grpc import ArchiveServiceStub
from scow.api.types.v1.types_pb2 import Platform
from tests.support.digests import digest_of
from tests.support.service import Service, from_rpc_error

CHUNK = 1 << 20
LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def load(
    service: Service, archive: bytes | Path | Iterable[bytes], platform: Platform | None = None
) -> list[pb.LoadedImage]:
    """Load an archive; raise the typed error of a failure."""
    *_, last = load_progress(service, archive, platform)
    return list(last.result.images)


def load_progress(
    service: Service, archive: bytes | Path | Iterable[bytes], platform: Platform | None = None
) -> list[pb.LoadResponse]:
    """Load an archive; return all that was told."""
    try:
        return list(start_loading(service, archive, platform))
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


def start_loading(
    service: Service, archive: bytes | Path | Iterable[bytes], platform: Platform | None = None
) -> Any:
    """Begin to load an archive; return the call."""
    return ArchiveServiceStub(service.channel).Load(_requests(archive, platform), timeout=120)


def ingests(service: Service) -> list[str]:
    """Return what loads have begun to write; others' downloads are not looked at."""
    return [path.name for path in (service.data / "ingest").glob("load-*")]


def _requests(
    archive: bytes | Path | Iterable[bytes], platform: Platform | None
) -> Iterator[pb.LoadRequest]:
    yield pb.LoadRequest(open=pb.LoadRequest.Open(platform=platform))
    chunks: Iterable[bytes] = [archive] if isinstance(archive, bytes) else ()
    if isinstance(archive, Path):
        with archive.open("rb") as file:
            yield from (pb.LoadRequest(chunk=data) for data in iter(lambda: file.read(CHUNK), b""))
    elif not isinstance(archive, bytes):
        chunks = archive
    for data in chunks:
        for at in range(0, len(data), CHUNK):
            yield pb.LoadRequest(chunk=data[at : at + CHUNK])


def save(
    service: Service,
    images: Iterable[str],
    *,
    oci: bool = False,
    platform: Platform | None = None,
) -> bytes:
    """Save images; raise the typed error of a failure."""
    formats = pb.SaveRequest
    kind = formats.FORMAT_OCI_ARCHIVE if oci else formats.FORMAT_DOCKER_ARCHIVE
    request = pb.SaveRequest(images=images, format=kind, platform=platform)
    stub = ArchiveServiceStub(service.channel)
    try:
        return b"".join(response.chunk for response in stub.Save(request, timeout=120))
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


def tar(files: Mapping[str, bytes] | Iterable[tuple[str, bytes | str]]) -> bytes:
    """Return a tar of files by name; a str is where a symlink leads. Names may come twice."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            entry = tarfile.TarInfo(name)
            if isinstance(data, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, data
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def read_tar(data: bytes) -> dict[str, bytes]:
    """Return an archive's files by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = ((entry.name, archive.extractfile(entry)) for entry in archive if entry.isfile())
        return {name: file.read() for name, file in files if file is not None}


def configuration(layers: Iterable[bytes], **more: Any) -> bytes:
    """Return the configuration of an image of plain layers."""
    diff_ids = [digest_of(layer) for layer in layers]
    value = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}, **more}
    return json.dumps({**value, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()


def docker_archive(layers: Iterable[bytes], *tags: str, **more: Any) -> dict[str, bytes]:
    """Return the files of a Docker archive of one image, its `manifest.json` last."""
    layers = list(layers)
    config = configuration(layers, **more)
    name = f"{digest_of(config)[7:]}.json"
    files = {f"{digest_of(layer)[7:]}/layer.tar": layer for layer in layers}
    entry = {"Config": name, "RepoTags": list(tags) or None, "Layers": list(files)}
    return {**files, name: config, "manifest.json": json.dumps([entry]).encode()}


def describe(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Return a descriptor."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def blob(data: bytes) -> str:
    """Return a blob's name in a layout."""
    return f"blobs/sha256/{digest_of(data)[7:]}"


def oci_image(layers: Iterable[bytes], **more: Any) -> tuple[bytes, dict[str, bytes]]:
    """Return an image's manifest, and the files of a layout that it is made of."""
    layers = list(layers)
    config = configuration(layers, **more)
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": describe(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [describe(layer, LAYER) for layer in layers],
    }
    manifest = json.dumps(value).encode()
    return manifest, {blob(data): data for data in (*layers, config, manifest)}


def oci_layout(
    tops: Iterable[tuple[bytes, str, str]], files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return a layout's files, its `index.json` last.

    Args:
        tops: Documents with media type and name; an empty name is none.
        files: All blobs.
    """
    entries = [
        describe(
            data,
            kind,
            **({"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}),
        )
        for data, kind, name in tops
    ]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return {**files, "oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index}
