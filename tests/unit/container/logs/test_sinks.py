"""What goes over the wire to servers of logs; the lines of syslog are those that dockerd 20.10 sends."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import msgpack
import pytest

from scow.api.container.v1.container_pb2 import Container, ContainerConfig
from scow.container.logs import sink as sink_module
from scow.container.logs.fluentd import Fluentd, pack
from scow.container.logs.journald import Journald, check_here
from scow.container.logs.sink import Message, Source
from scow.container.logs.syslog import Syslog
from scow.contract.errors import FailedPrecondition
from scow.core.config import ContainerSection
from tests.support.logservers import Datagrams, Stream, unpacked
from tests.support.processes import wait_for
from tests.support.tls import Authority

HOST = re.escape(socket.gethostname())
PID = os.getpid()


def source(given: Mapping[str, str], section: ContainerSection | None = None) -> Source:
    described = Container(
        id="ab" * 32,
        name="web",
        config=ContainerConfig(image="busybox"),
        labels={"com.example.team": "a\nb"},
        env=["HOME=/", "X=1"],
    )
    return Source(described, given, section or ContainerSection())


def message(data: bytes = b"hi", stream: str = "stdout") -> Message:
    return Message(stream, 1_767_225_845_123_456_789, data)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("", rf"<30>[A-Z]\w\w [ \d]\d \d\d:\d\d:05 web\[{PID}\]: hi\n"),
        ("rfc3164", rf"<30>[A-Z]\w\w [ \d]\d \d\d:\d\d:05 {HOST} web\[{PID}\]: hi\n"),
        ("rfc5424", rf"<30>1 2026-01-01T00:04:05Z {HOST} web {PID} web - hi\n"),
        ("rfc5424micro", rf"<30>1 2026-01-01T00:04:05\.123456Z {HOST} web {PID} web - hi\n"),
    ],
    ids=["default", "rfc3164", "rfc5424", "rfc5424micro"],  # the lines have the process's id
)
async def test_forms_of_syslog(form: str, line: str) -> None:
    with Datagrams() as server:
        address = f"udp://127.0.0.1:{server.port}"
        given = {"syslog-address": address, "syslog-format": form, "tag": "{{.Name}}"}
        sink = Syslog(source(given))
        await sink.send([message(), message(b""), message(b"oh", "stderr")])
        sink.close()
        wait_for(lambda: len(server.received) == 2, "two datagrams: an empty line is none")
        assert re.fullmatch(line, server.received[0].decode())
        assert server.received[1].startswith(b"<27>")


async def test_syslog_over_tls(tmp_path: Path) -> None:
    """RFC 5425 has the length of each message before it."""
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.own.certificate_file)
    tls.load_cert_chain(server.certificate_file, server.key_file)
    tls.verify_mode = ssl.CERT_REQUIRED
    with Stream(tls) as taker:
        given = {
            "syslog-address": f"tcp+tls://localhost:{taker.port}",
            "syslog-format": "rfc5424",
            "syslog-tls-ca-cert": str(authority.own.certificate_file),
            "syslog-tls-cert": str(client.certificate_file),
            "syslog-tls-key": str(client.key_file),
            "tag": "t",
        }
        sink = Syslog(source(given))
        await sink.send([message()])
        line = f"<30>1 2026-01-01T00:04:05Z {socket.gethostname()} t {PID} t - hi\n".encode()
        wait_for(lambda: taker.received, "what is sent")
        assert taker.received == b"%d %b" % (len(line), line)
        sink.close()
        unknown = Syslog(source({**given, "syslog-tls-ca-cert": ""}))
        with pytest.raises(ssl.SSLError):
            await unknown.send([message()])


async def test_syslog_on_a_unix_socket(tmp_path: Path) -> None:
    with Datagrams(tmp_path / "log") as server:
        given = {"syslog-address": f"unix://{tmp_path}/log", "syslog-facility": "local7"}
        sink = Syslog(source(given))
        await sink.send([message()])
        sink.close()
        wait_for(lambda: server.received, "a datagram")
        assert server.received[0].startswith(b"<190>")
    with pytest.raises(OSError, match="no syslog server"):
        await sink.send([message()])


async def test_journald(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pytest.raises(FailedPrecondition, match="journald is not enabled"):
        check_here(path)
    with Datagrams(path) as server:
        check_here(path)
        given = {"labels": "com.example.team", "env": "X", "tag": "t"}
        sink = Journald(source(given, ContainerSection(journal_socket=path)))
        part = Message("stderr", 5_000_000_007, b"a\nb", "stderr-1", 1, last=False)
        await sink.send([message(), part])
        sink.close()
        wait_for(lambda: len(server.received) == 2, "two datagrams")
    first, second = server.received
    assert first.endswith(b"\nMESSAGE=hi\n")
    for field in (
        b"CONTAINER_NAME=web\n",
        b"CONTAINER_ID=abababababab\n",
        b"CONTAINER_TAG=t\n",
        b"SYSLOG_IDENTIFIER=t\n",
        b"IMAGE_NAME=busybox\n",
        b"PRIORITY=6\n",
        b"X=1\n",
        b"COM_EXAMPLE_TEAM\n\x03\0\0\0\0\0\0\0a\nb\n",
    ):
        assert field in first
    assert second.endswith(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n")
    assert b"PRIORITY=3\nSYSLOG_TIMESTAMP=5.000000007\n" in second
    assert b"CONTAINER_PARTIAL_MESSAGE=true\n" in second


@pytest.mark.parametrize(
    "value",
    [
        *(0, 127, 128, 1 << 40, "", "x" * 31, "x" * 32, "x" * 70_000, "ü"),
        *([], [1] * 15, [1] * 16, [1] * 70_000, {}, {str(n): n for n in range(20)}),
    ],
    ids=lambda value: f"{type(value).__name__}-{len(str(value))}",
)
def test_messagepack(value: object) -> None:
    assert msgpack.unpackb(pack(value)) == value


async def test_times_of_fluentd() -> None:
    with Stream() as server:
        for precise in ("false", "true"):
            address = f"127.0.0.1:{server.port}"
            given = {"fluentd-address": address, "fluentd-sub-second-precision": precise}
            sink = Fluentd(source(given))
            await sink.send([message()])
            sink.close()
        wait_for(lambda: len(list(unpacked(server.received))) == 2, "two messages")
        times = [entry[0] for got in unpacked(server.received) for entry in got[1]]  # type: ignore[attr-defined]
    assert times[0] == 1_767_225_845
    assert times[1] == msgpack.ExtType(0, bytes.fromhex("6955b9f5075bcd15"))


async def test_a_server_that_does_not_acknowledge_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sink_module, "_SECONDS", 0.2)
    with Stream(answer=lambda data: b"") as server:
        address = f"127.0.0.1:{server.port}"
        given = {"fluentd-address": address, "fluentd-request-ack": "true"}
        sink = Fluentd(source(given))
        with pytest.raises((OSError, TimeoutError)):
            await sink.send([message()])
        sink.close()
