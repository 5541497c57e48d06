"""A Dockerfile from its bytes.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

from dataclasses import replace

from scow.contract.errors import InvalidDockerfile
from scow.words.dockerfile import instructions, lexer, source
from scow.words.dockerfile.problem import Problem, error_at, error_in
from scow.words.dockerfile.source import Logical, Source
from scow.words.dockerfile.syntax import (
    Arg,
    Dockerfile,
    Instruction,
    Position,
    Span,
    Stage,
)


def parse(data: bytes, file: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile.

    Args:
        data: Its bytes, UTF-8, at most `source.SIZE_MAX`.
        file: Its name, for messages.

    Raises:
        InvalidDockerfile: It is not a Dockerfile; says where and why.
    """
    read = source.read(data, file, lexer.heredoc_marks)
    global_args: list[Arg] = []
    stages: list[Stage] = []
    pending: list[Instruction] = []
    for logical in read.instructions:
        found = _parsed(read, logical)
        if isinstance(found, Stage):
            _close(stages, pending)
            stages.append(found)
        elif stages:
            pending.append(found)
        elif isinstance(found, Arg):
            global_args.append(found)
        else:
            raise error_in(
                logical.span,
                read.lines,
                Problem(
                    f"{logical.span.text.split()[0].upper()} stands before the first FROM",
                    "begin with FROM IMAGE; only ARG may come before",
                ),
            )
    _close(stages, pending)
    if not stages:
        raise error_at(
            file,
            read.lines,
            Position(max(len(read.lines), 1)),
            "there is no FROM" if read.lines else "the file is empty",
            "begin with FROM IMAGE",
        )
    return Dockerfile(
        file,
        read.lines,
        read.escape,
        tuple(read.directives),
        tuple(global_args),
        tuple(stages),
        tuple(read.empty_continuations),
    )


def parse_instruction(text: str, span: Span | None = None) -> Instruction:
    r"""Read one instruction alone: a trigger of ONBUILD, or a change of `commit`.

    Args:
        text: The instruction, with here-documents on further lines.
        span: Where it is said to be, for messages; without one, the text itself.

    Raises:
        InvalidDockerfile: It is wrong, or not one instruction.
    """
    file = span.file if span else "instruction"
    read = source.read(text.encode("utf-8", "surrogatepass"), file, lexer.heredoc_marks)
    if len(read.instructions) != 1:
        raise error_at(file, read.lines, Position(1), f"{text[:40]!r} is not one instruction")
    found = _parsed(read, read.instructions[0])
    if isinstance(found, Stage):
        raise error_at(file, read.lines, Position(1), "FROM is not allowed here")
    return replace(found, span=replace(span, text=found.span.text)) if span else found


def _parsed(read: Source, logical: Logical) -> Instruction | Stage:
    try:
        return instructions.parse(logical, read.escape)
    except Problem as problem:
        raise error_in(logical.span, read.lines, problem) from None


def _close(stages: list[Stage], pending: list[Instruction]) -> None:
    """Give the last stage its instructions."""
    if stages:
        stages[-1] = replace(stages[-1], instructions=tuple(pending))
        pending.clear()


__all__ = ["InvalidDockerfile", "parse", "parse_instruction"]
