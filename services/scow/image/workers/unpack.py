"""The worker: `python -m scow.image.workers.unpack DESCRIPTOR PARENT`.

It takes jobs from a SOCK_SEQPACKET socket, one JSON message each, and answers in kind::

    -> {"op": "unpack" or "index", "destination": path, "max_bytes": n, "max_entries": n} + the layer's file
    <- {"want": n}                          more than the first n bytes of the layer's file, please
    -> {"available": m, "final": bool}
    <- {"done": {"diff_id", "tar_size", "size", "inodes", "has_root", "compression", "skipped_xattrs"}}
    <- {"fault": {"kind", "message", "entry"}}   and the worker ends
    -> {"op": "split", "prefix": path, "max_bytes": n, "max_entries": n, "max_file_bytes": n} + pipe
    <- {"passing": name, "current": n, "size": n}    of a large file
    <- {"file": name, "number", "size", "digest"}    it is written to `<prefix>.<number>`
    <- {"link": name, "target": name}
    <- {"done": {}}
    -> {"op": "expand", "max_bytes": n} + pipe, file
    <- {"written": n}                       so much of the decompressed bytes is in the file
    <- {"done": {}}
    -> {"op": "diff", "compress": bool, "mount_points": [...], "latest_ns": n or null} + upper directory, file
    <- {"done": {...}}                      `layers.diff.written`, or "errno" and "message"
    -> {"op": "compress", "kind": "gzip" or "zstd"} + plain file, empty file
    <- {"done": {"digest", "size"}}         of the compressed file
    -> {"op": "compare", "kept": path, "fresh": path, "since_ns": n}   <- {"done": {"differences": [...]}}

What is to be split or expanded comes through a pipe. A layer's file is compressed or not: "unpack" writes the files in
it, "index" the plain tar, unless the layer's file is that, and an index of it. The worker parses what strangers wrote:
it keeps no capability but those that writing files takes, and dies with the service.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
from typing import Any

from scow.core import memory
from scow.core.archive.read.apply import Applied
from scow.core.archive.read.faults import DISK_FULL, REFUSED, Fault
from scow.core.archive.read.streams import Feed, TarStream, plain
from scow.core.archive.read.tree import Tree
from scow.core.disk import FULL
from scow.image.archives.decompression import expand
from scow.image.archives.splitter import Pipe, Splitter, Tell
from scow.image.content.buffers import streaming
from scow.image.content.compression import compress
from scow.image.layers.diff import layer as diff
from scow.image.layers.erofs import INDEX, TAR
from scow.image.layers.erofs.collect import Collector
from scow.image.layers.erofs.write import write
from scow.image.layers.unpack.apply import Applier
from scow.image.layers.unpack.compare import compare
from scow.kernel import workers

MESSAGE_MAX = 1 << 16
# Names in an answer: an archive may have any number of them.
_SHOWN = 16
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP (linux/capability.h)
_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31


class Worker:
    """One worker.

    Args:
        channel: The socket to the service.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def serve(self) -> None:
        """Do jobs until the service closes the socket."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._channel, MESSAGE_MAX, 2)
            if not data:
                return
            with streaming():
                answer = self._do(json.loads(data), descriptors)
            self._send(answer)
            if "fault" in answer:
                os._exit(0)  # a thread may still be reading ahead
            for descriptor in descriptors:
                os.close(descriptor)

    def _do(self, job: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            if job["op"] == "expand":
                return {"done": _expand(job, descriptors, self._send)}
            if job["op"] == "split":
                return {"done": self._split(job, descriptors[0])}
            if job["op"] == "compare":
                return {"done": _compare(job)}
            if job["op"] == "compress":
                return {"done": _compress(job, descriptors)}
            if job["op"] == "diff":
                return {"done": _diff(job, descriptors)}
            work = self._index if job["op"] == "index" else self._unpack
            return {"done": work(job, descriptors[0])}
        except Fault as fault:
            about = {"kind": fault.kind, "message": fault.message, "entry": fault.entry}
        except OSError as error:
            kind = DISK_FULL if error.errno in FULL else REFUSED
            about = {"kind": kind, "message": str(error), "entry": ""}
        return {"fault": about}

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps(message).encode())
        except BrokenPipeError:
            os._exit(0)  # the service wants no answer any more

    def _wait(self, position: int) -> tuple[int, bool]:
        """Ask for more of the layer's file."""
        self._send({"want": position})
        answer = self._channel.recv(MESSAGE_MAX)
        if not answer:
            os._exit(0)  # the service is gone, and this may be a thread
        message = json.loads(answer)
        return message["available"], message["final"]

    def _unpack(self, job: dict[str, Any], source: int) -> dict[str, Any]:
        compression, pieces = plain(Feed(source, self._wait))
        stream = TarStream(pieces, job["max_bytes"])
        tree = Tree(job["destination"])
        try:
            applied = Applier(tree, stream, job["max_entries"]).run()
            return _facts(compression, applied, *stream.finish())
        finally:
            tree.close()

    def _index(self, job: dict[str, Any], source: int) -> dict[str, Any]:
        compression, pieces = plain(Feed(source, self._wait))
        folder = job["destination"]
        tar = os.open(os.path.join(folder, TAR), _CREATE, 0o600) if compression else source
        index = os.open(os.path.join(folder, INDEX), _CREATE, 0o600)
        try:
            stream = TarStream(pieces, job["max_bytes"], tar if compression else None)
            collector = Collector(stream, job["max_entries"])
            root = collector.run()
            diff_id, tar_size = stream.finish()
            write(root, tar_size, index, tar)
            return _facts(compression, collector.applied, diff_id, tar_size)
        finally:
            os.close(index)
            if compression:
                os.close(tar)

    def _split(self, job: dict[str, Any], descriptor: int) -> dict[str, Any]:
        _, pieces = plain(Pipe(descriptor))
        stream = TarStream(pieces, job["max_bytes"], hashed=False)
        limits = (job["max_entries"], job["max_file_bytes"])
        Splitter(stream, job["prefix"], *limits, self._send).run()
        stream.finish()
        return {}


def _facts(compression: str, applied: Applied, diff_id: str, tar_size: int) -> dict[str, Any]:
    return {
        "diff_id": diff_id,
        "tar_size": tar_size,
        "size": applied.size,
        "inodes": applied.inodes,
        "has_root": applied.has_root,
        "compression": compression,
        "skipped_xattrs": sorted(applied.skipped_xattrs)[:_SHOWN],
    }


def _diff(job: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    try:
        root, file = descriptors
        points = list(map(os.fsencode, job["mount_points"]))
        written = diff.make(
            root,
            file,
            compress=job["compress"],
            mount_points=points,
            latest_ns=job["latest_ns"],
        )
        return dataclasses.asdict(written)
    except OSError as error:
        return {"errno": error.errno or 0, "message": str(error)}


def _compress(job: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    plain_file, packed = descriptors
    digest, size = compress(plain_file, packed, job["kind"])
    return {"digest": digest, "size": size}


def _compare(job: dict[str, Any]) -> dict[str, Any]:
    # A message is short: names of files are not.
    found = compare(job["kept"], job["fresh"], job["since_ns"])
    return {"differences": [difference[:512] for difference in found]}


def _expand(job: dict[str, Any], descriptors: list[int], tell: Tell) -> dict[str, Any]:
    pipe, file = descriptors
    _, pieces = plain(Pipe(pipe))
    expand(pieces, file, job["max_bytes"], tell)
    return {}


def main() -> None:
    """Serve on the descriptor that the first argument names; the second is the parent's PID."""
    memory.share_one_arena()
    workers.die_with_parent(int(sys.argv[2]))
    workers.keep_capabilities(_CAPABILITIES)
    Worker(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
