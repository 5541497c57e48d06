"""The forms of a container's log, by name."""

from __future__ import annotations

from collections.abc import Callable

from scow.contract.log_compact import CompactDecoder, CompactEncoder
from scow.contract.log_cri import CriDecoder, CriEncoder
from scow.contract.log_lines import Decoder, LineEncoder
from scow.contract.log_record import JsonDecoder, LogEncoder

# Called with which run of the container it is, and what each record says of the container (an object of JSON, or "").
ENCODERS: dict[str, Callable[[int, str], LineEncoder]] = {
    "json": LogEncoder,
    "compact": CompactEncoder,
    "cri": CriEncoder,
}
DECODERS: dict[str, Callable[[], Decoder]] = {
    "json": JsonDecoder,
    "compact": CompactDecoder,
    "cri": CriDecoder,
}
