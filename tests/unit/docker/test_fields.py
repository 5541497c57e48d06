"""The JSON that clients send."""

from __future__ import annotations

from typing import Any

import pytest

from scow.contract.errors import InvalidArgument
from scow.docker.fields import Fields


def test_keys_are_matched_whatever_their_case_and_null_is_nothing() -> None:
    fields = Fields({"IMAGE": "a", "cmd": None, "Tty": True, "Unknown": {"x": [1]}})
    assert fields.text("Image") == "a"
    assert fields.texts("Cmd") == []
    assert "Cmd" not in fields
    assert fields.flag("tty")
    assert fields.number("Memory") == 0


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("text", 1),
        ("text", ["a"]),
        ("flag", "true"),
        ("number", "1"),
        ("number", True),
        ("number", 1.5),
        ("texts", "a"),
        ("texts", [1]),
        ("texts", [None]),
        ("words", 1),
        ("mapping", ["a"]),
        ("mapping", {"a": 1}),
        ("keys", ["a"]),
        ("part", "a"),
        ("objects", {"a": 1}),
        ("objects", ["a"]),
        ("objects_by_name", {"a": [1]}),
        ("lists_by_name", {"a": {"b": 1}}),
        ("lists_by_name", {"a": ["b"]}),
        ("lists", ["a"]),
    ],
)
def test_a_value_of_another_type_is_an_error_that_names_it(read: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"HostConfig\.Thing") as caught:
        getattr(Fields({"thing": value}, "HostConfig"), read)("Thing")
    assert caught.value.which == "HostConfig.Thing"


def test_commands_may_be_one_string() -> None:
    assert Fields({"Cmd": "date"}).words("Cmd") == ["date"]
    assert Fields({"Cmd": ["date", "-u"]}).words("Cmd") == ["date", "-u"]
