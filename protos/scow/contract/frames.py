"""The frames between container service and shim: ttrpc's header, one call a connection.

Each frame has a header of 10 bytes, big-endian: length of the data (4), stream (4), type (1), flags (1). The data is a
protobuf message. A connection carries one call, on stream 1:

    client   REQUEST (scow.api.shim.v1.Call), then for a streaming method DATA (a request message) ..., and `CLOSED`
             in the flags of the last one or of an empty one (with `NO_DATA`) when no more follow
    server   for a streaming method DATA (a response message) ..., then RESPONSE (scow.api.shim.v1.Result)

Whoever closes the connection before the RESPONSE has cancelled the call.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">IIBB")
REQUEST, RESPONSE, DATA = 1, 2, 3
CLOSED, NO_DATA = 1, 4
STREAM = 1
# Bytes of data in one frame, as ttrpc has it.
DATA_MAX = 4 << 20


def frame(kind: int, data: bytes, flags: int = 0) -> bytes:
    """Return a frame of the call."""
    return HEADER.pack(len(data), STREAM, kind, flags) + data


def parse_header(header: bytes) -> tuple[int, int, int]:
    """Return length, type and flags.

    Raises:
        ValueError: It is not the header of a frame of this protocol.
    """
    length, stream, kind, flags = HEADER.unpack(header)
    if length > DATA_MAX or stream != STREAM or kind not in (REQUEST, RESPONSE, DATA):
        raise ValueError(f"not a frame of a call: {header.hex()}")
    return length, kind, flags
