"""The format of a container's log: what is written is read again, whatever it is."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scow.contract.log_lines import RECORD_BYTES, Records
from scow.contract.log_record import LogEncoder, decode, with_position


def line(text: str, stream: str = "stdout", time: str = "2026-01-02T03:04:05.000000006Z") -> bytes:
    return json.dumps({"log": text, "stream": stream, "time": time}).encode() + b"\n"


def written(*pieces: bytes) -> bytes:
    encoder = LogEncoder()
    return b"".join([encoder.encode("stdout", piece) for piece in pieces])


def data_of(records: list[Records]) -> bytes:
    return b"".join(record.data for record in records)


def test_a_record_is_one_of_dockers() -> None:
    (record,) = map(json.loads, written('say "hi" ü\t\n'.encode()).splitlines())
    assert list(record) == ["log", "stream", "time"]
    assert (record["log"], record["stream"]) == ('say "hi" ü\t\n', "stdout")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", record["time"])


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.text(alphabet='ab\n"\\\x00\x1b\t\r\x7fü€😀\ufffd{}:,', max_size=40).map(str.encode),
            st.just(b'","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}\n{"log":"'),
            st.integers(RECORD_BYTES - 2, RECORD_BYTES + 2).map(lambda size: b"x" * size),
        ),
        max_size=20,
    )
)
def test_every_byte_comes_back(pieces: list[bytes]) -> None:
    encoder = LogEncoder()
    lines = b"".join([encoder.encode("stdout", piece) for piece in pieces])
    raw = b"".join(pieces)
    assert data_of(decode(lines)) + encoder.unfinished("stdout") == raw
    assert encoder.recorded("stdout") + len(encoder.unfinished("stdout")) == len(raw)
    records = decode(lines + encoder.finish("stdout"))
    assert data_of(records) == raw
    assert encoder.recorded("stdout") == len(raw)
    for record in records:
        assert sum(record.sizes) == len(record.data)
        assert len(record.sizes) == len(record.times)
        assert max(record.sizes) <= RECORD_BYTES
    for text in lines.splitlines():
        assert set(json.loads(text)) <= {"log", "stream", "time", "raw"}


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(0, 3)), max_size=30))
def test_streams_keep_their_order(pieces: list[tuple[str, int]]) -> None:
    encoder = LogEncoder()
    lines = b"".join([encoder.encode(stream, b"x\n" * count) for stream, count in pieces])
    found = [record.stream for record in decode(lines) for _ in record.sizes]
    assert found == [stream for stream, count in pieces for _ in range(count)]


@pytest.mark.parametrize("size", [RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, 50_000])
def test_a_long_line_has_several_records_and_no_character_is_cut(size: int) -> None:
    text = ("ü" * size)[: size // 2] + "\n"
    raw = text.encode() + b"short\n"
    records = [json.loads(found)["log"] for found in written(raw).splitlines()]
    assert "".join(records) == text + "short\n"
    assert all(len(found.encode()) <= RECORD_BYTES for found in records)
    assert [found[-1:] == "\n" for found in records].count(False) == len(records) - 2


def test_bytes_that_are_no_text_stand_beside_their_replacement() -> None:
    lines = written(b"a\xff\xfe\0\nplain\n")
    first, second = map(json.loads, lines.splitlines())
    assert first["log"] == "a\ufffd\ufffd\0\n"
    assert "raw" not in second
    assert data_of(decode(lines)) == b"a\xff\xfe\0\nplain\n"


def test_positions() -> None:
    lines = with_position(written(b"one\ntwo\n"), 4711, 5)
    assert json.loads(lines.splitlines()[0])["at"] == 4711
    assert [(record.position, record.run, record.data) for record in decode(lines)] == [
        (4711, 5, b"one\n"),
        (None, None, b"two\n"),
    ]


def test_a_notice_is_told_apart() -> None:
    (record,) = decode(LogEncoder().notice("[lost]\n"))
    assert (record.stream, record.data, record.notice) == ("stderr", b"[lost]\n", True)


@pytest.mark.parametrize(
    ("time", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456_789),
    ],
)
def test_times(time: str, ns: int) -> None:
    (record,) = decode(line("x", time=time))
    assert record.times == (ns,)


def test_records_as_docker_writes_them() -> None:
    lines = (
        b'{"log":"\\u003chi\\u003e\\n","stream":"stderr","time":"2026-01-02T03:04:05.1Z"}\n'
        b'{"log":"x\\n","stream":"stdout","attrs":{"a":"b"},"time":"2026-01-02T03:04:05.123456789Z"}\n'
    )
    found = [(record.stream, record.data) for record in decode(lines)]
    assert found == [("stderr", b"<hi>\n"), ("stdout", b"x\n")]


@pytest.mark.parametrize(
    "damaged",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b'{"log":"x"}\n',
        b"\0\0\0\n",
        line("x", time="now"),
        line("x", "elsewhere"),
        line("x", time="2026-99-99T03:04:05.000000006Z"),
        b'{"log":"a',
        b'{"log":"a",1,"stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}\n',
        b'{"log":"a\\","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}\n',
        b'{"log":"\\x","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}\n',
        b'{"log":"x","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z","raw":"*"}\n',
        b'{"log":"x","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z","at":"1","run":1}\n',
        b'{"log":1,"stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}\n',
    ],
)
def test_what_is_no_record_costs_its_own_line_alone(damaged: bytes) -> None:
    good = written(b"one\n"), written(b"two\n")
    assert data_of(decode(good[0] + damaged)) == b"one\n"
    if damaged.endswith(b"\n"):
        assert data_of(decode(good[0] + damaged + good[1])) == b"one\ntwo\n"
