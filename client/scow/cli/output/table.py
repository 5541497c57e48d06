r"""Lists: `--format` as a table, as JSON or as a template, `--filter`, and `--quiet`.

A list verb makes a `Listing` of its options before it asks the engine, so that a wrong template costs no call,
and shows its rows with it.
"""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Refused
from scow.cli.io.terminal_text import one_line
from scow.words.template import Row, Template, TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scow.cli.context import Context

# Go's tabwriter as Docker sets it up.
_LEAST_WIDTH = 10
_PADDING = 3


def parse_filter(text: str) -> tuple[str, str]:
    """Return the key and the value of "key=value".

    Raises:
        ValueError: No such form.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError("invalid argument: expected NAME=VALUE")
    return key.strip().lower(), value.strip()


def _parse_any(text: str) -> tuple[str, str]:
    """Return the same of a filter of a list, where an empty text is none, as in Docker; with an empty key."""
    return parse_filter(text) if text else ("", "")


FILTER = Flag("filter", "f", "list", "Filter output based on conditions provided", parse=_parse_any)
FORMAT = Flag(
    "format",
    kind="string",
    help="Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
)
NO_TRUNC = Flag("no-trunc", help="Don't truncate output")


def filters_of(options: Options) -> dict[str, list[str]]:
    """Return the filters of `--filter` by key."""
    found: dict[str, list[str]] = {}
    for key, value in options.filter:
        if key:
            found.setdefault(key, []).append(value)
    return found


class Listing:
    """How a list is shown.

    Args:
        layout: The value of `--format`; empty means the default table.
        default: Columns of the default table, a template with tabs.
        headers: Heads of all columns that there are.
        quiet: Template of the one column that `--quiet` leaves of the default table, or empty.

    Raises:
        Refused: The layout is not a valid template.
    """

    def __init__(
        self, layout: str, default: str, headers: Mapping[str, str], quiet: str = ""
    ) -> None:
        self._headers = headers
        layout = layout.strip() or "table"
        quiet = quiet if layout == "table" else ""  # a layout that is asked for wins, as in Docker
        self._is_table = not quiet and (layout == "table" or layout.startswith("table "))
        if quiet:
            layout = quiet
        elif self._is_table:
            layout = layout[len("table") :].strip() or default
        elif layout == "json":
            layout = "{{json .}}"
        text = layout.replace("\\t", "\t").replace("\\n", "\n")
        self._has_json = "json" in text
        try:
            self._template = Template(text)
        except TemplateError as error:
            raise Refused(f"template parsing error: {error}") from None

    def shows(self, field: str) -> bool:
        """Tell whether a field is shown, so that a costly one is asked for only then."""
        return field in self._template.fields

    def print(self, rows: Iterable[Row], context: Context) -> None:
        """Print the rows.

        Raises:
            Refused: The template cannot be applied to them.
        """
        for line in self.lines(rows):
            context.block(line)

    def lines(self, rows: Iterable[Row]) -> list[str]:
        """Return what is printed, line by line.

        Raises:
            Refused: The template cannot be applied to the rows.
        """
        try:
            lines = [self._template.render(self._shown(row)) for row in rows]
            if self._is_table:
                lines.insert(0, self._template.render(self._head()))
        except TemplateError as error:
            raise Refused(f"failed to execute template: {error}") from None
        return aligned(lines) if self._is_table else lines

    def _shown(self, row: Row) -> Row:
        """Return a row whose values make no further lines or cells on a terminal."""
        # JSON has its own form of them, which must stay what it means.
        return row if self._has_json else Row({key: _one_line(row[key]) for key in row})

    def _head(self) -> Row:
        # The head of `{{.Label "key"}}` is the key.
        return Row({"Label": str, **self._headers})


def _one_line(value: object) -> object:
    """Return a field's text, or a method of one text, with its ends of lines and tabs shown on a terminal."""
    if callable(value):
        return lambda key: _one_line(value(key))
    return one_line(value, sys.stdout) if isinstance(value, str) else value


def aligned(lines: list[str], least: int = _LEAST_WIDTH) -> list[str]:
    """Return lines whose cells, parted by tabs, stand below each other; the last cell of a line is left as it is.

    Args:
        lines: With a tab between two cells.
        least: Characters that a column has at least.
    """
    rows = [line.split("\t") for line in lines]
    widths: dict[int, int] = {}
    for row in rows:
        for number, cell in enumerate(row[:-1]):
            widths[number] = max(widths.get(number, least), len(cell) + _PADDING)
    return [
        "".join(f"{cell:<{widths[number]}}" for number, cell in enumerate(row[:-1])) + row[-1]
        for row in rows
    ]


def ellipsis(text: str, width: int) -> str:
    """Return a text cut to a width."""
    return text if len(text) <= width else text[: width - 1] + "…"


def labels_text(labels: Mapping[str, str]) -> str:
    """Return "a=b,c=d", by key."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def short_id(text: str) -> str:
    """Return the first twelve digits of an id, without its algorithm."""
    return text.rpartition(":")[2][:12]
