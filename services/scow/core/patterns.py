"""Regular expressions that callers write, matched in time linear in the text.

Python's `re` backtracks: `^(a+)+$` on thirty letters takes seconds, and holds every other call meanwhile. The syntax
here is RE2's (https://github.com/google/re2/wiki/Syntax), which is that of Go's `regexp` and so of Docker's filters.
"""

from __future__ import annotations

from typing import Protocol

import re2

# A name has 255 letters at most: what is longer than this looks for no name.
_TEXT_MAX = 1024
# Bytes that one compiled expression may take: about thirty times that of an expression of the longest text.
_MEMORY_MAX = 1 << 20


class Pattern(Protocol):
    """A compiled expression."""

    def search(self, text: str) -> object | None:
        """Return something if the expression matches anywhere in the text."""


def compile_pattern(text: str) -> Pattern:
    """Return the compiled expression.

    Raises:
        ValueError: The pattern is invalid or too large; the message says why.
    """
    if len(text) > _TEXT_MAX:
        raise ValueError(f"more than {_TEXT_MAX} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY_MAX
    try:
        pattern: Pattern = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a regular expression"
        shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(shown) from None
    return pattern
