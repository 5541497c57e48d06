"""Where each instruction has its variables replaced.

RUN, CMD, ENTRYPOINT and HEALTHCHECK leave variables to the shell, ONBUILD to the build that it triggers; MAINTAINER and
SHELL have none. https://docs.docker.com/reference/dockerfile/ ("Environment replacement")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scow.words.dockerfile import expansion, mounts, syntax
from scow.words.dockerfile.expansion import DOCUMENT, Mode, Scope
from scow.words.dockerfile.problem import Problem
from scow.words.dockerfile.syntax import Heredoc, Instruction, Mount, Pair, Span


def substituted(instruction: Instruction, scope: Scope, mode: Mode) -> Instruction:
    """Return an instruction with the values of variables, without quotes and escapes.

    Args:
        instruction: As it was parsed.
        scope: The variables; what is not set is noted in `scope.missing`.
        mode: Has the file's escape character.

    Raises:
        Problem: The offset is that of the text of `instruction.span`.
    """
    words = _Words(instruction.span, scope, mode)
    changes: dict[str, Any] = {}
    for name, change in _FIELDS.get(type(instruction), {}).items():
        changes[name] = change(words, getattr(instruction, name))
    return replace(instruction, **changes) if changes else instruction


def substituted_mounts(instruction: syntax.Run, scope: Scope, mode: Mode) -> tuple[Mount, ...]:
    """Return the mounts of a RUN; errors as of `substituted`."""
    words = _Words(instruction.span, scope, mode)
    found = []
    for text in instruction.mounts:
        try:
            found.append(mounts.parse(text, words.word))
        except Problem as problem:
            at = max(instruction.span.text.find("--mount"), 0)
            raise Problem(problem.message, problem.do, at) from None
    return tuple(found)


@dataclass(frozen=True)
class _Words:
    """Replaces words of one instruction; what is wrong is said to be where the word stands."""

    span: Span
    scope: Scope
    mode: Mode

    def word(self, text: str) -> str:
        try:
            return expansion.word(text, self.scope, self.mode)
        except Problem as problem:
            raise self._placed(problem, text) from None

    def words(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.word(text) for text in texts)

    def pairs(self, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple(
            replace(pair, key=self.word(pair.key), value=self.word(pair.value or ""))
            for pair in pairs
        )

    def split(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        found: list[str] = []
        for text in texts:
            try:
                found += expansion.words(text, self.scope, self.mode)
            except Problem as problem:
                raise self._placed(problem, text) from None
        return tuple(found)

    def documents(self, documents: tuple[Heredoc, ...]) -> tuple[Heredoc, ...]:
        return tuple(
            replace(document, content=self._document(document), strips_tabs=False)
            for document in documents
        )

    def _document(self, document: Heredoc) -> str:
        if not document.expands:
            return document.body
        try:
            return expansion.word(document.body, self.scope, DOCUMENT)
        except Problem as problem:
            message = f"in the here-document {document.name!r}: {problem.message}"
            at = max(self.span.text.find(document.name), 0)
            raise Problem(message, problem.do, at) from None

    def _placed(self, problem: Problem, text: str) -> Problem:
        return problem.moved(max(self.span.text.find(text), 0))


_Change = Callable[[_Words, Any], Any]
_PAIRS: dict[str, _Change] = {"pairs": _Words.pairs}
_TRANSFER: dict[str, _Change] = {
    "sources": _Words.words,
    "destination": _Words.word,
    "documents": _Words.documents,
    "chown": _Words.word,
    "chmod": _Words.word,
}
# The fields whose words are replaced, and how.
_FIELDS: dict[type[Instruction], dict[str, _Change]] = {
    syntax.Add: {**_TRANSFER, "checksum": _Words.word},
    syntax.Copy: _TRANSFER,
    syntax.Env: _PAIRS,
    syntax.Expose: {"ports": _Words.split},
    syntax.Label: _PAIRS,
    syntax.StopSignal: {"signal": _Words.word},
    syntax.User: {"user": _Words.word},
    syntax.Volume: {"paths": _Words.words},
    syntax.Workdir: {"path": _Words.word},
}
