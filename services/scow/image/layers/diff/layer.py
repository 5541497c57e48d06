"""Writing the layer of a directory, in a worker (`workers.unpack`, "diff")."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Collection

from isal import isal_zlib

from scow.image.layers.diff.changeset import Changeset, is_empty
from scow.image.layers.diff.written import Written

_PIECE = 1 << 20
_AHEAD = 4  # pieces between the thread that reads files and the one that hashes
_LEVEL = 1
_GZIP = 31  # window bits, with gzip's header (zlib.h, deflateInit2)


class Layer:
    """A layer's file: what is written to it is hashed, and compressed if it shall be, by another thread.

    Measured: 5,000 files of 40 MB take as long with and without compression, since there is less to write, and pushes
    are smaller.

    Args:
        descriptor: The file.
        compress: With gzip.
    """

    def __init__(self, descriptor: int, *, compress: bool) -> None:
        self._descriptor = descriptor
        self._compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP) if compress else None
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._size = 0
        self._buffer = bytearray()
        self._queue: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._consume)
        self._thread.start()

    def write(self, data: bytes | memoryview) -> None:
        """Append to the plain tar."""
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(bytes(self._buffer))
        self._buffer.clear()

    def finish(self) -> tuple[str, str, int]:
        """Write the rest; return the plain tar's digest, the file's, and the file's size."""
        self._pass_on()
        self.close()
        if self._error is not None:
            raise self._error
        digests = (self._plain, self._packed if self._compressor else self._plain)
        plain, packed = (f"sha256:{found.hexdigest()}" for found in digests)
        return plain, packed, self._size

    def close(self) -> None:
        """End the thread."""
        self._queue.put(None)
        self._thread.join()

    def _consume(self) -> None:
        while (piece := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._plain.update(piece)
                self._store(self._compressor.compress(piece) if self._compressor else piece)
            except Exception as error:  # noqa: BLE001 - raised in the other thread
                self._error = error
        if self._error is None and self._compressor is not None:
            try:
                self._store(self._compressor.flush())
            except OSError as error:
                self._error = error

    def _store(self, data: bytes) -> None:
        if self._compressor is not None:
            self._packed.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def make(
    root: int,
    descriptor: int,
    *,
    compress: bool,
    mount_points: Collection[bytes] = (),
    latest_ns: int | None = None,
) -> Written:
    """Write the layer of a directory to a file.

    Args:
        root: Descriptor of the directory.
        descriptor: Of an empty file.
        compress: With gzip; otherwise the file is the plain tar.
        mount_points: See `Changeset`.
        latest_ns: Later times of files become this one; None leaves them.

    Raises:
        OSError: Something cannot be read, or the file not be written.
    """
    layer = Layer(descriptor, compress=compress)
    packer = Changeset(layer.write, mount_points)
    packer.latest_ns = latest_ns
    try:
        packer.pack(root)
    except BaseException:
        layer.close()
        raise
    diff_id, digest, size = layer.finish()
    return Written(diff_id, digest, size, is_empty(packer, root), packer.skipped)
