"""Errors of templates: Go's sentences, with the place in the template."""

from __future__ import annotations

# Characters of a message: templates quote themselves, and may be long.
_MESSAGE_MAX = 500


class TemplateError(Exception):
    """A template is wrong. The message is one line."""

    def __init__(self, message: str) -> None:
        if len(message) > _MESSAGE_MAX:
            message = message[: _MESSAGE_MAX - 3] + "..."
        self.message = " ".join(message.splitlines())
        super().__init__(self.message)


class ParseError(TemplateError):
    """A text is not a template.

    Args:
        line: Line of the template, from 1.
        reason: Why.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"template: :{line}: {reason}")
        self.line = line
        self.reason = reason


class RenderError(TemplateError):
    """A template cannot be applied to its data.

    Args:
        line: Line of the template, from 1.
        column: Byte in the line, from 0.
        name: Name of the template in which it happened; empty for the outermost.
        context: The part of the template.
        reason: Why.
    """

    def __init__(self, line: int, column: int, name: str, context: str, reason: str) -> None:
        where = f"template: :{line}:{column}"
        super().__init__(f'{where}: executing "{name}" at <{context}>: {reason}')
        self.line = line
        self.column = column
        self.reason = reason


class CallError(Exception):
    """A function refuses its arguments; the evaluator adds where."""
