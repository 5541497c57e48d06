"""Images for pulls: made once, when a row first asks for them, and put into a registry by skopeo."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.registry import Registry

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_POOL = random.Random(1).randbytes(8 << 20)
_BLOCK = 64 << 10
_RANDOM = 24 << 10  # bytes of a block that do not compress: about as programs do


class Content:
    """Images in a registry that all engines reach.

    Args:
        folder: For what is made.
        registry: As scow reaches it.
        near: As the peers do.
        prefix: Put before commands that run where the peers are.
    """

    def __init__(
        self, folder: Path, registry: Registry, near: Registry, prefix: Sequence[str]
    ) -> None:
        self._prefix = prefix
        self._folder = folder
        self._registry = registry
        self._near = near
        self._made: set[str] = set()

    def beside(self, registry: Registry) -> Registry:
        """Return a registry, to be started, through which the peers reach what another one has."""
        return Registry(storage=registry.storage, prefix=self._prefix)

    def references(
        self, name: str, layers: Sequence[Iterator[tuple[str, bytes]]]
    ) -> dict[str, str]:
        """Return the reference of an image for "scow" and for "peers".

        Args:
            name: Of the image, "large:1".
            layers: Files of each layer. They are not looked at when the image has been made.
        """
        if name not in self._made:
            layout = self._folder / name.replace(":", "-")
            _write_layout(layout, layers)
            target = f"docker://{self._registry.address}/bench/{name}"
            subprocess.run(
                ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", target],
                check=True,
            )
            self._made.add(name)
        return {
            "scow": f"{self._registry.address}/bench/{name}",
            "peers": f"{self._near.address}/bench/{name}",
        }


def files(
    seed: int, count: int, size: int, folder: str = "usr/share"
) -> Iterator[tuple[str, bytes]]:
    """Give files of random sizes and contents.

    Args:
        seed: Other seeds, other contents.
        count: Of files.
        size: Of a file on average, in bytes.
        folder: Where they are, a hundred in each of its folders.
    """
    chance = random.Random(seed)
    for index in range(count):
        wanted = int(chance.expovariate(1 / size)) if count > 1 else size
        yield f"{folder}/d{index // 100}/f{index}", _bytes(chance, wanted)


def _bytes(chance: random.Random, size: int) -> bytes:
    if size < _BLOCK:
        at = chance.randrange(len(_POOL) - _BLOCK)
        part = size * _RANDOM // _BLOCK
        return _POOL[at : at + part] + b"the same text " * ((size - part) // 14 + 1)
    blocks = []
    for _ in range(0, size, _BLOCK):
        at = chance.randrange(len(_POOL) - _BLOCK)
        blocks.append(_POOL[at : at + _RANDOM] + bytes(_BLOCK - _RANDOM))
    return b"".join(blocks)[:size]


def _write_layout(folder: Path, layers: Sequence[Iterator[tuple[str, bytes]]]) -> None:
    """Write an OCI layout (OCI image specification, image-layout.md)."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    described, diff_ids = [], []
    for layer in layers:
        plain, packed = _write_layer(blobs / "new", layer)
        diff_ids.append(plain)
        size = (blobs / "new").stat().st_size
        (blobs / "new").rename(blobs / packed.removeprefix("sha256:"))
        described.append({"mediaType": _LAYER, "digest": packed, "size": size})
    config = _put(
        blobs,
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        },
        _CONFIG,
    )
    manifest = _put(
        blobs,
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": described},
        _MANIFEST,
    )
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [manifest]}
    (folder / "index.json").write_text(json.dumps(index))


class _Hashing(io.RawIOBase):
    """Counts and hashes what goes to another file."""

    def __init__(self, target: io.BufferedIOBase) -> None:
        self._target = target
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self.hash.update(view)
        self._target.write(view)
        return len(view)


def _write_layer(path: Path, layer: Iterator[tuple[str, bytes]]) -> tuple[str, str]:
    """Write a compressed layer; return its diff id and its digest."""
    with path.open("wb") as file:
        packed = _Hashing(file)
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as stream:
            plain = _Hashing(stream)
            with tarfile.open(fileobj=plain, mode="w|", bufsize=1 << 18) as tar:
                for name, data in layer:
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    return f"sha256:{plain.hash.hexdigest()}", f"sha256:{packed.hash.hexdigest()}"


def _put(blobs: Path, value: Mapping[str, object], media_type: str) -> dict[str, object]:
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
