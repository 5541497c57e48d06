"""A folder of the user's with the cache of builds: an OCI image layout, read file by file and written as a whole.

Whatever is in it stays, so that several tags share their layers; `index.json` comes last, and under a new name first.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from scow.contract.errors import InvalidArchive

_PIECE = 1 << 20
_DOCUMENT_MAX = 8 << 20
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}")
_REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def read(folder: str, path: str) -> Iterator[bytes]:
    """Give a file of the folder, piece by piece.

    Raises:
        OSError: It cannot be read, or is none that a cache has.
    """
    if path != "index.json" and not _BLOB.fullmatch(path):
        raise OSError(f"{path[:200]} is no file of a cache")
    with open(os.path.join(folder, path), "rb") as file:
        while data := file.read(_PIECE):
            yield data


class CacheFolder:
    """A folder that a cache is written to.

    Args:
        folder: It is made where it is missing.
        tag: What the cache is called in it; one that was called so before is replaced.
    """

    def __init__(self, folder: str, tag: str) -> None:
        self._folder = folder
        self._tag = tag
        self._archive: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Take a piece of the archive.

        Raises:
            OSError: It cannot be written.
        """
        if self._archive is None:
            os.makedirs(os.path.join(self._folder, "blobs/sha256"), exist_ok=True)
            self._archive = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        self._archive.write(data)

    def finish(self) -> None:
        """Unpack the archive, which is complete.

        Raises:
            InvalidArchive: It is not what it should be.
            OSError: It cannot be written.
        """
        if self._archive is None:
            return
        with self._archive as archive:
            archive.seek(0)
            index = self._unpack(archive)
        manifests = index.get("manifests") or []
        if not manifests:
            raise InvalidArchive(
                "the cache has no image", what="cache", which=self._folder, do="build again"
            )
        entry = {**manifests[-1], "annotations": {_REF_NAME: self._tag}}
        kept = [each for each in self._known() if _tag(each) not in (self._tag, None)]
        self._put("oci-layout", io.BytesIO(_LAYOUT))
        value = {"schemaVersion": 2, "manifests": [*kept, entry]}
        self._put("index.json", io.BytesIO(json.dumps(value).encode()))

    def _unpack(self, archive: IO[bytes]) -> dict[str, Any]:
        """Write the blobs that are not there; return the index."""
        index: dict[str, Any] = {}
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                if member.name == "index.json":
                    index = json.loads(content.read(_DOCUMENT_MAX))
                elif _BLOB.fullmatch(member.name):
                    path = os.path.join(self._folder, member.name)
                    if not os.path.exists(path):
                        self._put(member.name, content)
        return index

    def _known(self) -> list[dict[str, Any]]:
        """Return what the folder's index has."""
        try:
            with open(os.path.join(self._folder, "index.json"), "rb") as file:
                found = json.loads(file.read(_DOCUMENT_MAX)).get("manifests")
        except (OSError, ValueError, AttributeError):
            return []
        return [each for each in found or [] if isinstance(each, dict)]

    def _put(self, name: str, content: IO[bytes]) -> None:
        """Write a file under another name, and give it its own when it is complete."""
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            try:
                while data := content.read(_PIECE):
                    file.write(data)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.rename(file.name, os.path.join(self._folder, name))
            except BaseException:
                os.unlink(file.name)
                raise


def _tag(entry: dict[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    return annotations.get(_REF_NAME) if isinstance(annotations, dict) else None
