import pytest

from scow.contract.paths import shortest


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data", "/data"),
        ("//data", "/data"),
        ("///data//", "/data"),
        ("/y/../data/.", "/data"),
        ("//..", "/"),
        ("/", "/"),
        ("//", "/"),
    ],
)
def test_the_shortest_form(path: str, expected: str) -> None:
    assert shortest(path) == expected
