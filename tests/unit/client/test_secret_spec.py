"""The short form of a container's secret."""

from __future__ import annotations

import pytest

from scow.client.specs import parse_secret


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a", {"secret": "a"}),
        (
            "source=a,target=/b,uid=1,gid=2,mode=0440",
            {
                "secret": "a",
                "target": "/b",
                "uid": 1,
                "gid": 2,
                "mode": 0o440,
            },
        ),
        ("a,type=mount,dst=b", {"secret": "a", "target": "b"}),
    ],
)
def test_forms(text: str, fields: dict[str, object]) -> None:
    assert parse_secret(text) == fields


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",target=x",
        "a,uid=x",
        "a,uid=4294967296",
        "a,mode=9",
        "a,x=y",
        "a,type=env",
        "a,target=",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        parse_secret(text)
