"""Go's text/template, as users of `--format` and `inspect -f` know it.

Example::

    Template('{{.Name}}: {{join .Tags ", "}}').render({"Name": "web", "Tags": ["a", "b"]})

The language is that of https://pkg.go.dev/text/template with the functions that Docker adds (json, split, join,
title, lower, upper, pad, truncate). Data is what JSON has, plus the types of `values`, which carry what a Go
struct or map would know. Whatever the template, rendering ends: its steps, its depth and the size of its output
are limited.
"""

from __future__ import annotations

from scow.words.template.errors import ParseError, RenderError, TemplateError
from scow.words.template.evaluator import Evaluator
from scow.words.template.functions import FUNCTIONS, Function
from scow.words.template.parser import Parser
from scow.words.template.values import Map, NilList, NilMap, Row, Struct, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Map",
    "NilList",
    "NilMap",
    "ParseError",
    "RenderError",
    "Row",
    "Struct",
    "Template",
    "TemplateError",
    "to_json",
]


class Template:
    """A parsed template.

    Args:
        text: The template.
        functions: Functions that replace or join the usual ones.

    Raises:
        ParseError: The template is invalid; the message says where and why in Go's words.
    """

    def __init__(self, text: str, functions: Mapping[str, Function] | None = None) -> None:
        self._text = text
        self._functions = {**FUNCTIONS, **(functions or {})}
        parser = Parser(text, self._functions)
        self._root = parser.parse()
        self._templates = parser.templates
        # Names of all fields that occur, so that what is costly is asked for only when it is shown.
        self.fields = frozenset(parser.fields)

    def render(self, data: object) -> str:
        """Return the text that the template makes of data.

        Raises:
            RenderError: It cannot be applied to the data.
        """
        evaluator = Evaluator(self._text, self._templates, self._functions, data)
        return evaluator.run(self._root)
