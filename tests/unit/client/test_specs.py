"""Texts of Docker's flags, as the library takes them too."""

from __future__ import annotations

import pytest

from scow.client import specs


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1024", 1024), ("1k", 1024), ("1KB", 1024), ("1KiB", 1024), ("1.5m", 1572864)],
)
def test_parse_size(text: str, size: int) -> None:
    assert specs.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "1x", "-1", "nan", "inf", "1 mm"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        specs.parse_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[::1]:8080:80", ("::1", 8080, 80, "tcp", 1)),
        ("127.0.0.1::80", ("127.0.0.1", 0, 80, "tcp", 1)),
        ("8080:80/UDP", ("", 8080, 80, "udp", 1)),
    ],
)
def test_parse_port(text: str, expected: tuple[object, ...]) -> None:
    (made,) = specs.parse_port(text)
    assert tuple(made.values()) == (
        expected[0], expected[3], expected[1], expected[2], expected[4],
    )  # fmt: skip


def test_a_range_of_the_host_before_one_port_is_one_to_choose_from() -> None:
    (made,) = specs.parse_port("127.0.0.1:18400-18410:80")
    assert (made["host_port"], made["host_port_last"]) == (18400, 18410)
    assert (made["container_port"], made["count"]) == (80, 1)


def test_a_range_without_host_port_is_a_port_each() -> None:
    assert [m["container_port"] for m in specs.parse_port("80-82")] == [80, 81, 82]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux", {"os": "linux"}),
        ("arm64", {"os": "linux", "architecture": "arm64"}),
        ("linux/arm/v7", {"os": "linux", "architecture": "arm", "variant": "v7"}),
    ],
)
def test_parse_platform(text: str, expected: dict[str, str]) -> None:
    assert specs.parse_platform(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
        ("/dev/a:r", ("/dev/a", "/dev/a", "r")),
        ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")),
        ("/dev/a:/dev/b:rw", ("/dev/a", "/dev/b", "rw")),
    ],
)
def test_parse_device(text: str, expected: tuple[str, ...]) -> None:
    assert tuple(specs.parse_device(text).values()) == expected
