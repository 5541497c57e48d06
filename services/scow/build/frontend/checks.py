"""The checks that need nothing but the file: names, cases, forms. Those that need variables are made on the way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scow.build.frontend.findings import Findings
from scow.words.dockerfile import syntax
from scow.words.dockerfile.syntax import Dockerfile, Instruction, Stage
from scow.words.ignore import Ignore
from scow.words.match import has_wildcards

_RESERVED = ("context", "scratch")
_SECRET = re.compile(
    r"(?i)(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)"
)
_PUBLIC = re.compile(r"(?i)(?:^|_)(?:public|file|version)(?:_|$)")


def check(dockerfile: Dockerfile, findings: Findings) -> None:
    """Make the checks of a file."""
    for position in dockerfile.empty_continuations:
        findings.note("NoEmptyContinuation", position, "an empty line within an instruction")
    _casing(dockerfile, findings)
    names: set[str] = set()
    for arg in dockerfile.global_args:
        _description(arg, "ARG", [pair.key for pair in arg.pairs], findings)
    for stage in dockerfile.stages:
        _stage_name(stage, names, findings)
        _description(stage, "FROM", [stage.name] if stage.name else [], findings)
        _once(stage, findings)
        for instruction in stage.instructions:
            _instruction(instruction, findings)


def _word(instruction: Instruction | Stage) -> str:
    """Return the name of an instruction as it is written."""
    return instruction.span.text.split(None, 1)[0]


def _casing(dockerfile: Dockerfile, findings: Findings) -> None:
    all_of_them: list[Instruction | Stage] = []
    for stage in dockerfile.stages:
        all_of_them += [stage, *stage.instructions]
    words = [_word(instruction) for instruction in all_of_them]
    lower = sum(word == word.lower() for word in words)
    is_lower = lower > sum(word == word.upper() for word in words)
    for instruction, word in zip(all_of_them, words, strict=True):
        if word != (word.lower() if is_lower else word.upper()):
            case = "lower case" if is_lower else "capitals"
            message = f"'{word}' is not in {case}, as most instructions are"
            findings.note("ConsistentInstructionCasing", instruction.span.start, message)


def _stage_name(stage: Stage, names: set[str], findings: Findings) -> None:
    start, word = stage.span.start, _word(stage)
    if stage.written_name != stage.name:
        message = f"the stage name '{stage.written_name}' is not in lower case"
        findings.note("StageNameCasing", start, message)
    expected = {word.lower(): stage.word_as.lower(), word.upper(): stage.word_as.upper()}
    if stage.word_as != expected.get(word, stage.word_as):
        message = f"'{stage.word_as}' and '{word}' are not in the same case"
        findings.note("FromAsCasing", start, message)
    if stage.name in _RESERVED:
        findings.note("ReservedStageName", start, f"{stage.name!r} is a reserved name")
    if stage.name and stage.name in names:
        findings.note("DuplicateStageName", start, f"a second stage has the name {stage.name!r}")
    names.add(stage.name)


def _once(stage: Stage, findings: Findings) -> None:
    last: dict[type[Instruction], Instruction] = {}
    for instruction in stage.instructions:
        kind = type(instruction)
        if kind in (syntax.Cmd, syntax.Entrypoint, syntax.Healthcheck):
            if kind in last:
                # The earlier one is the one without effect.
                findings.note(
                    "MultipleInstructionsDisallowed",
                    last[kind].span.start,
                    f"a later {_word(instruction).upper()} of the stage replaces this one",
                )
            last[kind] = instruction


def _instruction(instruction: Instruction, findings: Findings) -> None:
    start = instruction.span.start
    if isinstance(instruction, syntax.Maintainer):
        message = 'write LABEL org.opencontainers.image.authors="..." instead of MAINTAINER'
        findings.note("MaintainerDeprecated", start, message)
    if isinstance(instruction, syntax.Arg):
        _description(instruction, "ARG", [pair.key for pair in instruction.pairs], findings)
    if isinstance(instruction, syntax.Env | syntax.Label | syntax.Arg):
        word = _word(instruction).upper()
        for pair in instruction.pairs:
            if pair.is_legacy:
                message = f"write {word} {pair.key}=... with an equals sign"
                findings.note("LegacyKeyValueFormat", start, message)
            if word != "LABEL" and is_secret(pair.key):
                message = f"{word} {pair.key!r} looks like a secret, which the image would show"
                findings.note("SecretsUsedInArgOrEnv", start, message)
    if isinstance(instruction, syntax.OnBuild):
        _instruction(instruction.instruction, findings)


def is_secret(name: str) -> bool:
    """Tell whether a variable's name is one that secrets have."""
    return _SECRET.search(name) is not None and _PUBLIC.search(name) is None


def _description(
    found: Instruction | Stage, word: str, names: Sequence[str], findings: Findings
) -> None:
    if found.comments and names and found.comments[-1].split(" ")[0] not in names:
        message = f"the comment above {word} is not '# {names[0]} DESCRIPTION'"
        findings.note("InvalidDefinitionDescription", found.span.start, message)


def ports(texts: Sequence[str], instruction: Instruction, findings: Findings) -> None:
    """Check the ports of an EXPOSE, whose variables are replaced."""
    for text in texts:
        protocol = text.partition("/")[2]
        if protocol != protocol.lower():
            message = f"the protocol of {text!r} is not in lower case"
            findings.note("ExposeProtoCasing", instruction.span.start, message)
        if ":" in text:
            message = f"{text!r} has an address or a port of the host, which means nothing here"
            findings.note("ExposeInvalidFormat", instruction.span.start, message)


def copied(
    paths: Sequence[str], instruction: Instruction, ignore: Ignore, findings: Findings
) -> None:
    """Check that what is copied of the main context is not left out of it.

    Where patterns take something in again, what is left of a directory is not known here.
    """
    if ignore.is_empty or ignore.has_exceptions:
        return
    for path in paths:
        if not has_wildcards(path) and path != "." and ignore.excludes(path):
            message = f"{path!r} is left out of the context by .dockerignore"
            findings.note("CopyIgnoredFile", instruction.span.start, message)
