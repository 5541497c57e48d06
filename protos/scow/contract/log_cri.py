"""The records of a container's log in the form of the Kubernetes runtime interface.

    2026-01-02T03:04:05.000000006Z stdout F hello
    2026-01-02T03:04:05.000000006Z stdout P the line goes on in the next record

Tags follow `F` (full) or `P` (partial) after a colon, where they are needed, as the form allows it:

- `F:at=4711:run=17673230450`: how many bytes of this stream came before since that start of the container, which has a
  number of its own; in a stream's first record of each file, and after a loss.
- `F:notice`: the engine's own words, which are not output.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from scow.contract.log_lines import Decoder, LineEncoder, Records, cut_lines, has_long
from scow.contract.log_record import time_ns

_HEAD = b"%b %b %b "
_HEAD_SIZE = len(_HEAD % (b"2026-01-02T03:04:05.000000006Z", b"stdout", b"F"))
_head_of = itemgetter(slice(_HEAD_SIZE))
_LINE = re.compile(
    rb"(\S+) (stdout|stderr) ([FP])(:notice)?(?::at=(\d{1,19}):run=(\d{1,19}))?(?::\S*)? (.*)",
    re.DOTALL,
)


class CriEncoder(LineEncoder):
    """Makes records.

    Args:
        run: Which start of the container this is: higher than that of any earlier one.
        attrs: What records of other forms say of the container; nothing here.
    """

    def __init__(self, run: int = 0, attrs: str = "") -> None:
        super().__init__(run)

    def notice(self, text: str) -> bytes:
        """Return a record of the engine's own words, on standard error."""
        return _HEAD % (self._now().encode(), b"stderr", b"F:notice") + text.encode()

    def placed(self, records: bytes, position: int) -> bytes:
        """Return records of which the first says how many bytes of its stream came before it, in which run."""
        end = _HEAD_SIZE - 1
        return b"%b:at=%d:run=%d%b" % (records[:end], position, self.run, records[end:])

    def decoder(self) -> Decoder:
        """Return what reads such records."""
        return CriDecoder()

    def _head(self, stream: str, tag: bytes) -> bytes:
        return _HEAD % (self._now().encode(), stream.encode(), tag)

    def _lines(self, stream: str, lines: bytes) -> bytes:
        if has_long(lines):
            return self._pieces(stream, cut_lines(lines))
        head = self._head(stream, b"F")
        return b"".join((head, lines[:-1].replace(b"\n", b"\n" + head), b"\n"))

    def _pieces(self, stream: str, pieces: Iterable[bytes]) -> bytes:
        moment, name = self._now().encode(), stream.encode()
        whole, partial = (_HEAD % (moment, name, tag) for tag in (b"F", b"P"))
        return b"".join(
            whole + piece if piece.endswith(b"\n") else partial + piece + b"\n" for piece in pieces
        )


class CriDecoder:
    """Reads such records; it needs to remember nothing."""

    def decode(self, lines: bytes) -> list[Records]:
        """Return the records of whole lines; lines that hold none are left out."""
        found: list[Records] = []
        batch = lines.split(b"\n")
        if not batch[-1]:
            batch.pop()
        for head, group in groupby(batch, _head_of):
            same = list(group)
            known = _parse_head(head)
            if known is None:
                found += [record for line in same if (record := _decode_one(line)) is not None]
                continue
            data = b"\n".join([line[_HEAD_SIZE:] for line in same]) + b"\n"
            sizes = [len(line) - _HEAD_SIZE + 1 for line in same]
            found.append(Records(known[0], data, sizes, [known[1]] * len(same)))
        return found


@lru_cache(maxsize=256)
def _parse_head(head: bytes) -> tuple[str, int] | None:
    """Return stream and time; None where a line does not begin as those of whole lines that are written here."""
    match = _LINE.fullmatch(head)
    if match is None or match[3] != b"F" or match[4] or match[5] or match[7]:
        return None
    if not head.endswith(b" F "):
        return None
    try:
        return match[2].decode(), time_ns(match[1].decode())
    except ValueError:
        return None


def _decode_one(line: bytes) -> Records | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        moment = time_ns(match[1].decode())
    except ValueError:
        return None
    data = match[7] + (b"\n" if match[3] == b"F" else b"")
    position, run = (int(match[5]), int(match[6])) if match[5] else (None, None)
    return Records(
        match[2].decode(), data, [len(data)], [moment], position, run, match[4] is not None
    )
