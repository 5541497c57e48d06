"""What is made of answers by HTTP, byte by byte and all at once, of servers that mean well and of others."""

import pytest

from scow.shim.prober.exchange import READ_MAX, Http, Verdict


def feed(data: bytes, step: int, *, end: bool = True) -> Verdict | None:
    exchange = Http("127.0.0.1:80", "/ready")
    for start in range(0, len(data), step):
        if (verdict := exchange.feed(data[start : start + step])) is not None:
            return verdict
    return exchange.feed(b"") if end else None


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("data", "healthy", "output"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", True, "HTTP 200 OK"),
        (b"HTTP/1.0 399\r\n\r\n", True, "HTTP 399"),
        (b"HTTP/1.1 400 Bad\r\n\r\n", False, "HTTP 400 Bad"),
        (b"HTTP/1.1 199 x\r\n\r\n", False, "HTTP 199 x"),
        (b"HTTP/1.1 200 OK\r\n", True, "HTTP 200 OK"),
        (b"SSH-2.0-OpenSSH\r\n", False, "the answer is not HTTP: SSH-2.0-OpenSSH\r\n"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", False, "the answer is not HTTP: HTTP/1.1 2000 OK\r\n\r\n"),
        (b"", False, "the answer is not HTTP: "),
    ],
)
def test_the_status_decides(data: bytes, healthy: bool, output: str, step: int) -> None:
    verdict = feed(data, step)
    assert verdict is not None
    assert verdict.healthy == healthy
    if step > 1 or output.startswith("HTTP"):
        assert verdict.output == output


def test_what_came_with_the_head_is_output() -> None:
    verdict = feed(b"HTTP/1.1 200 OK\r\n\r\nwell" + b"\xff" * 9000, 16_000)
    assert verdict is not None
    assert verdict.output.startswith("HTTP 200 OK\nwell")
    # Bytes, as an answer that is too long for its packet would be lost.
    assert 4000 < len(verdict.output.encode()) <= 4096


@pytest.mark.parametrize("data", [b"x" * (READ_MAX + 1), b"HTTP/1.1 200 OK\r\n" + b"a" * READ_MAX])
def test_an_answer_without_end_is_read_for_a_while(data: bytes) -> None:
    assert feed(data, 1000, end=False) is not None


def test_the_request() -> None:
    request = Http("[::1]:80", "").request
    assert request.startswith(b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n")
    assert request.endswith(b"\r\n\r\n")
