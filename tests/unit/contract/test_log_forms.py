"""The forms of a log other than Docker's: what is written is read again, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scow.contract.log_formats import DECODERS, ENCODERS
from scow.contract.log_lines import RECORD_BYTES, Records

FORMS = list(ENCODERS)
PIECES = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([b"\n", b"@1 2 3\n", b"o\n", b"\no@\n", b"x\ny", b"2026 stdout F x\n"]),
            st.integers(RECORD_BYTES - 2, RECORD_BYTES + 2).map(lambda size: b"x" * size),
        ),
    ),
    max_size=12,
)


def data_of(records: list[Records], stream: str) -> bytes:
    return b"".join(r.data for r in records if r.stream == stream and not r.notice)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(pieces=PIECES, cuts=st.lists(st.integers(0, 100), max_size=4))
def test_every_byte_comes_back(form: str, pieces: list[tuple[str, bytes]], cuts: list[int]) -> None:
    """Also when it is read in several blocks of whole lines."""
    encoder = ENCODERS[form](7, "")
    written = b"".join(encoder.encode(stream, piece) for stream, piece in pieces)
    written += encoder.finish("stdout") + encoder.finish("stderr")
    decoder = DECODERS[form]()
    lines = written.splitlines(keepends=True) if form == "json" else _lines(written)
    found: list[Records] = []
    last = 0
    for cut in [*sorted(cut * len(lines) // 100 for cut in cuts), len(lines)]:
        found += decoder.decode(b"".join(lines[last:cut]))
        last = cut
    for stream in ("stdout", "stderr"):
        raw = b"".join(piece for own, piece in pieces if own == stream)
        assert data_of(found, stream) == raw
        assert encoder.recorded(stream) == len(raw)
    for records in found:
        assert sum(records.sizes) == len(records.data)
        assert len(records.sizes) == len(records.times)
        assert max(records.sizes) <= RECORD_BYTES


def _lines(written: bytes) -> list[bytes]:
    return [line + b"\n" for line in written.split(b"\n")[:-1]]


@pytest.mark.parametrize("form", FORMS)
def test_a_place_is_told(form: str) -> None:
    encoder = ENCODERS[form](4711, "")
    (first, *_) = DECODERS[form]().decode(encoder.placed(encoder.encode("stderr", b"a\nb\n"), 12))
    assert (first.run, first.position, first.stream) == (4711, 12, "stderr")


@pytest.mark.parametrize("form", FORMS)
def test_a_notice_is_told_apart(form: str) -> None:
    encoder = ENCODERS[form](0, "")
    (record,) = DECODERS[form]().decode(encoder.notice("[lost]\n"))
    assert (record.stream, record.data, record.notice) == ("stderr", b"[lost]\n", True)


@pytest.mark.parametrize("form", ["compact", "cri"])
@settings(max_examples=100, deadline=None)
@given(rubbish=st.binary(max_size=200))
def test_rubbish_is_left_out(form: str, rubbish: bytes) -> None:
    encoder = ENCODERS[form](0, "")
    written = rubbish + b"\n" + encoder.encode("stdout", b"good\n")
    assert DECODERS[form]().decode(written)[-1].data == b"good\n"


def test_the_compact_form_takes_one_byte_a_line_beside_what_was_written() -> None:
    encoder = ENCODERS["compact"](0, "")
    raw = b"x\n" * 10_000
    assert len(encoder.encode("stdout", raw)) < len(raw) + 10_000 + 100


def test_attributes_stand_in_records_of_json() -> None:
    import json

    encoder = ENCODERS["json"](0, '{"stream":"x","tag":"t"}')
    written = encoder.encode("stdout", b"a\nb\n")
    assert json.loads(written.splitlines()[0])["attrs"] == {"stream": "x", "tag": "t"}
    (records,) = DECODERS["json"]().decode(written)
    assert (records.data, records.stream) == (b"a\nb\n", "stdout")
