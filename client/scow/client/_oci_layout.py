"""A folder with an OCI image layout as an archive of one of its images.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from scow.contract.errors import InvalidArchive

_REF_NAME = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DOCUMENT_MAX = 8 << 20
_DOCUMENTS_MAX = 1000
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def archive(folder: str, tag: str = "", digest: str = "") -> BinaryIO:
    """Return a file with the archive, at its beginning.

    Args:
        folder: The layout.
        tag: Of the image in the folder; where neither tag nor digest is given, "latest", or the only image.
        digest: Of its manifest or index.

    Raises:
        InvalidArchive: It is no layout, or has no such image.
        OSError: A file cannot be read.
    """
    entry = _chosen(folder, tag, digest)
    entry.pop("annotations", None)
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  the caller's
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "oci-layout", _LAYOUT)
        index = {"schemaVersion": 2, "manifests": [entry]}
        _add(tar, "index.json", json.dumps(index).encode())
        for name in _blobs(folder, str(entry.get("digest"))):
            tar.add(os.path.join(folder, name), name, recursive=False)
    file.seek(0)
    return file


def _chosen(folder: str, tag: str, digest: str) -> dict[str, Any]:
    entries = [
        entry
        for entry in _document(folder, "index.json").get("manifests") or []
        if isinstance(entry, dict)
    ]
    if digest:
        found = [entry for entry in entries if entry.get("digest") == digest]
        return {**(found[0] if found else _described(folder, digest))}
    wanted = [entry for entry in entries if _tag(entry) == (tag or "latest")]
    if not wanted and not tag and len(entries) == 1:
        wanted = entries
    if not wanted:
        raise _invalid(folder, f"has no image with the tag {tag or 'latest'}")
    return {**wanted[-1]}


def _described(folder: str, digest: str) -> dict[str, Any]:
    """Return the descriptor of a manifest that the index does not name."""
    name = _name(folder, digest)
    kind = _document(folder, name).get("mediaType") or "application/vnd.oci.image.manifest.v1+json"
    size = os.stat(os.path.join(folder, name)).st_size
    return {"mediaType": kind, "digest": digest, "size": size}


def _tag(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations")
    return str(annotations.get(_REF_NAME, "")) if isinstance(annotations, dict) else ""


def _blobs(folder: str, digest: str) -> Iterator[str]:
    """Give the files of an image or index: what it names, as far as it is there."""
    ahead, seen = [digest], set[str]()
    documents = 0
    while ahead:
        name = _name(folder, ahead.pop())
        if name in seen or not os.path.exists(os.path.join(folder, name)):
            continue
        seen.add(name)
        yield name
        documents += 1
        if documents > _DOCUMENTS_MAX:
            raise _invalid(folder, f"names more than {_DOCUMENTS_MAX} manifests")
        value = _document(folder, name)
        parts = [value.get("config"), *(value.get("layers") or [])]
        for part in parts:
            if not isinstance(part, dict):
                continue
            inner = _name(folder, str(part.get("digest")))
            if inner not in seen and os.path.exists(os.path.join(folder, inner)):
                seen.add(inner)
                yield inner
        ahead += [
            str(each.get("digest"))
            for each in value.get("manifests") or []
            if isinstance(each, dict)
        ]


def _name(folder: str, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise _invalid(folder, f"names {digest[:80]!r}, which is no digest")
    return f"blobs/{digest.replace(':', '/')}"


def _document(folder: str, name: str) -> dict[str, Any]:
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read(_DOCUMENT_MAX)
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _invalid(folder, f"has {name}, which is not what it should be")
    return value


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _invalid(folder: str, why: str) -> InvalidArchive:
    return InvalidArchive(
        f"the image layout {folder} {why}",
        what="layout",
        which=folder,
        do="name an OCI image layout",
    )
