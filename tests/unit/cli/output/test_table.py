"""Lists: tables, templates, JSON, and which of them a `--format` means."""

from __future__ import annotations

import pytest

from scow.cli.context import Context
from scow.cli.flags.parser import Refused
from scow.cli.output.table import Listing, ellipsis, labels_text, parse_filter, short_id
from scow.words.template import Row

_HEADERS = {"ID": "CONTAINER ID", "Names": "NAMES"}
_ROWS = [
    Row(ID="1", Names="web", Label=lambda key: f"{key}-1"),
    Row(ID="0123456789ab", Names="a_long_name", Label=lambda key: f"{key}-2"),
]


def _shown(capsys: pytest.CaptureFixture[str], layout: str, quiet: str = "") -> str:
    Listing(layout, r"{{.ID}}\t{{.Names}}", _HEADERS, quiet).print(_ROWS, Context())
    return capsys.readouterr().out


@pytest.mark.parametrize("layout", ["", "table"])
def test_default_table(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    assert _shown(capsys, layout) == (
        "CONTAINER ID   NAMES\n1              web\n0123456789ab   a_long_name\n"
    )


def test_table_of_own_columns(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _shown(capsys, r'table {{.Names}}\t{{.Label "tier"}}')
    assert shown == "NAMES         tier\nweb           tier-1\na_long_name   tier-2\n"


def test_narrow_columns_are_ten_wide(capsys: pytest.CaptureFixture[str]) -> None:
    Listing("", r"{{.ID}}\t{{.Names}}", {"ID": "ID", "Names": "NAMES"}).print(_ROWS[:1], Context())
    assert capsys.readouterr().out == "ID        NAMES\n1         web\n"


def test_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown(capsys, r"{{.ID}}\n{{upper .Names}}").splitlines() == [
        "1",
        "WEB",
        "0123456789ab",
        "A_LONG_NAME",
    ]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown(capsys, "json").splitlines()[0] == '{"ID":"1","Names":"web"}'


def test_quiet_leaves_one_column_without_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown(capsys, "", "{{.ID}}") == "1\n0123456789ab\n"
    assert _shown(capsys, "{{.Names}}", "{{.ID}}") == "web\na_long_name\n", "the layout wins"


def test_a_wrong_template_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(Refused, match="template parsing error: template: :1: unclosed action"):
        Listing("{{.ID", "", _HEADERS)


def test_an_unknown_field_is_refused() -> None:
    listing = Listing("{{.Nope}}", "", _HEADERS)
    with pytest.raises(Refused, match=r"failed to execute template: .*can't evaluate field Nope"):
        listing.print(_ROWS, Context())


def test_knows_which_fields_it_shows() -> None:
    listing = Listing(r"table {{.ID}}\t{{.Size}}", "", _HEADERS)
    assert listing.shows("Size")
    assert not listing.shows("Names")


def test_parse_filter() -> None:
    assert parse_filter("label=a=b") == ("label", "a=b")
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_filter("label")


def test_cells() -> None:
    assert ellipsis("abcdef", 4) == "abc…"
    assert ellipsis("abcd", 4) == "abcd"
    assert labels_text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert short_id("sha256:0123456789abcdef") == "0123456789ab"
