"""The content-addressed store: files `blobs/<algorithm>/<digits>`, and the ingests that become blobs.

An ingest is a growing file `ingest/<name>`. What it holds is hashed as it comes; only when size and digest are
right is it renamed to be a blob.
A download's ingest is named after its digest, so a later pull goes on where a cut one stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from scow.contract.errors import DigestMismatch, LayerCorrupt
from scow.core.disk import sync, writing
from scow.image.content.digests import SHA256, SHA512, algorithm_of, digest_of, digits_of, new_hash

_READ = 1 << 20
# Of the names of downloads' ingests.
_LENGTHS = (64, 128)


class Ingest:
    """A file that grows to be a blob; readers may follow it (`unpack.pool.Source`).

    Args:
        path: The file.
        algorithm: What its digest is made with.
    """

    def __init__(self, path: Path, algorithm: str = SHA256) -> None:
        self.path = path
        self._algorithm = algorithm
        with writing(path.parent):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self.descriptor = os.open(path, flags, 0o600)
        self._hash = new_hash(algorithm)
        self.size = 0
        self._final = False
        self._error: BaseException | None = None
        self._grown = asyncio.Event()
        # Of what another process wrote and hashed.
        self._claimed = ""
        self._hash_what_is_there()

    def _hash_what_is_there(self) -> None:
        while data := os.pread(self.descriptor, _READ, self.size):
            self._hash.update(data)
            self.size += len(data)

    def use(self, algorithm: str) -> None:
        """Make the digest with another algorithm; what is there is hashed again."""
        if algorithm != self._algorithm:
            self._algorithm, self._hash, self.size = algorithm, new_hash(algorithm), 0
            self._hash_what_is_there()

    def write(self, data: bytes) -> None:
        """Append."""
        view = memoryview(data)
        with writing(self.path.parent):
            while view:
                written = os.pwrite(self.descriptor, view, self.size)
                self._hash.update(view[:written])
                self.size += written
                view = view[written:]
        self._wake()

    def grown(self, size: int) -> None:
        """Note that a worker has written the file up to `size`; `claim` follows."""
        self.size = size
        self._wake()

    def restart(self) -> None:
        """Forget all bytes, and that they were wrong. Nobody may be reading."""
        os.ftruncate(self.descriptor, 0)
        self._hash = new_hash(self._algorithm)
        self.size = 0
        self._final, self._error = False, None

    def claim(self, digest: str, size: int) -> None:
        """Take what another process of ours has written and hashed."""
        self._claimed, self.size, self._final = digest, size, True

    def finish(self) -> None:
        """Tell readers that this is all."""
        self._final = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Let readers fail."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def wait(self, position: int) -> tuple[int, bool]:
        """Wait for more than `position` bytes or the end; see `unpack.pool.Source`."""
        while self.size <= position and not self._final:
            if self._error is not None:
                raise self._error
            await self._grown.wait()
        return self.size, self._final

    @property
    def digest(self) -> str:
        """The digest of what is there."""
        return self._claimed or f"{self._algorithm}:{self._hash.hexdigest()}"

    def check(self, digest: str, size: int | None = None) -> None:
        """Compare what is there with what it must be.

        Raises:
            DigestMismatch: It has another digest or size.
        """
        if self.digest == digest and size in (None, self.size):
            return
        raise DigestMismatch(
            f"the blob {digest} was sent with the digest {self.digest} and {self.size} bytes",
            what="blob",
            which=digest,
            do="try again; if it stays so, the registry's content is damaged",
        )

    def close(self) -> None:
        """Close the file; it stays."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def discard(self) -> None:
        """Close and delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """The store's folders.

    Args:
        base: The service's folder.

    Attributes:
        busy: Names of the ingests that are worked on, which are not pruned; NAME stands for NAME.1 and so on too.
    """

    def __init__(self, base: Path) -> None:
        self._blobs = {name: base / "blobs" / name for name in (SHA256, SHA512)}
        self._ingests = base / "ingest"
        self.busy: set[str] = set()
        for folder in (*self._blobs.values(), self._ingests):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Return where a blob is or would be."""
        return self._blobs[algorithm_of(digest)] / digits_of(digest)

    def read(self, digest: str) -> bytes:
        """Return a small blob's bytes."""
        return self.path(digest).read_bytes()

    def ingest(self, name: str) -> Ingest:
        """Open an ingest, with what an earlier one of this name left. A blob's is named after its digest."""
        return Ingest(self._ingests / digits_of(name), algorithm_of(name))

    async def commit(self, ingest: Ingest) -> str:
        """Make a finished ingest a blob, and return its digest. Its row is the caller's to write."""
        digest = ingest.digest
        path = self.path(digest)
        with writing(path.parent):
            await asyncio.to_thread(os.fsync, ingest.descriptor)
            ingest.close()
            ingest.path.rename(path)
            await asyncio.to_thread(sync, path.parent)
        return digest

    def ingest_path(self, name: str) -> Path:
        """Return where an ingest is that a worker writes."""
        return self._ingests / name

    @contextlib.asynccontextmanager
    async def working(self, kind: str) -> AsyncIterator[str]:
        """Yield a new name for ingests, NAME or NAME.<number>; those that have not become blobs go in the end."""
        name = f"{kind}-{os.urandom(8).hex()}"
        with self.held(name):
            try:
                yield name
            finally:
                await asyncio.shield(asyncio.to_thread(self._discard, name))

    def _discard(self, name: str) -> None:
        for path in (self._ingests / name, *self._ingests.glob(f"{name}.*")):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Let an ingest be busy for the length of the block."""
        self.busy.add(name)
        try:
            yield
        finally:
            self.busy.discard(name)

    async def write(self, data: bytes, algorithm: str = SHA256) -> str:
        """Store small data; return its digest, made with an algorithm. Its row is the caller's to write."""
        name = f"small-{os.urandom(8).hex()}"
        digest = digest_of(data, algorithm)
        with self.held(name):
            await asyncio.to_thread(self._write, data, self._ingests / name, self.path(digest))
        return digest

    @staticmethod
    def _write(data: bytes, temporary: Path, path: Path) -> None:
        with writing(path.parent):
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.rename(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            sync(path.parent)

    def delete(self, digest: str) -> None:
        """Delete a blob without a row."""
        self.path(digest).unlink(missing_ok=True)

    def put_aside(self, digest: str) -> Path:
        """Take a blob without a row out of the store, to be deleted when there is time.

        It goes among the ingests, where one that stays behind is deleted.
        """
        aside = self._ingests / f"gone-{os.urandom(8).hex()}"
        with contextlib.suppress(FileNotFoundError):
            self.path(digest).rename(aside)
        return aside

    def delete_aside(self, paths: Iterable[Path]) -> None:
        """Delete what was put aside; large files take their time."""
        for path in paths:
            path.unlink(missing_ok=True)

    def digests(self) -> set[str]:
        """Return the digests of all files."""
        return {
            f"{name}:{path.name}"
            for name, folder in self._blobs.items()
            for path in folder.iterdir()
        }

    def prune_ingests(self, keep_seconds: float) -> list[str]:
        """Delete ingests that nobody went on with for so long; return their names.

        Args:
            keep_seconds: Of downloads; others, which cannot be resumed, go at once.
        """
        now = time.time()
        gone = []
        for path in self._ingests.iterdir():
            keep = keep_seconds if len(path.name) in _LENGTHS else 0.0
            if path.name.partition(".")[0] in self.busy:
                continue
            with contextlib.suppress(FileNotFoundError):  # what was put aside goes by itself
                if now - path.stat().st_mtime >= keep:
                    path.unlink()
                    gone.append(path.name)
        return gone


class Stored:
    """A whole blob, to be read (`unpack.pool.Source`)."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    async def wait(self, position: int) -> tuple[int, bool]:
        """Return the length: this is all."""
        return os.fstat(self.descriptor).st_size, True


@contextlib.contextmanager
def open_blob(path: Path, digest: str) -> Iterator[Stored]:
    """Open a blob to unpack it.

    Raises:
        LayerCorrupt: It is not there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise lost(digest) from None
    try:
        yield Stored(descriptor)
    finally:
        os.close(descriptor)


def lost(digest: str) -> LayerCorrupt:
    """Return the error of a blob that is not what it was."""
    return LayerCorrupt(
        f"the blob {digest} is missing or damaged",
        what="blob",
        which=digest,
        do="remove the image and pull it again",
    )
