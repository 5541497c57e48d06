import pytest

from scow.container.model.exposed_ports import PortSet, Range, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", Range(80, 80, "tcp")),
        ("53/udp", Range(53, 53, "udp")),
        ("1-65535/sctp", Range(1, 65535, "sctp")),
        ("1-1000000/tcp", None),
        ("65536", None),
        ("0/tcp", None),
        ("9-8/tcp", None),
        ("²/tcp", None),
        ("٣/tcp", None),
        ("80/TCP", None),
        ("80/", None),
        ("-80", None),
        ("9" * 5000, None),
        ("80\n", None),
        ("", None),
    ],
)
def test_forms(text: str, expected: Range | None) -> None:
    assert parse(text) == expected


def test_a_set_gives_as_few_ranges_as_possible() -> None:
    ports = PortSet()
    for found in (Range(1, 65535, "tcp"), Range(7, 9, "udp"), Range(8, 12, "udp")):
        ports.add(found)
    ports.discard(Range(80, 80, "tcp"))
    assert list(ports.ranges()) == [
        Range(1, 79, "tcp"),
        Range(81, 65535, "tcp"),
        Range(7, 12, "udp"),
    ]
