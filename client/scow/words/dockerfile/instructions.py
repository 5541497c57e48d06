"""Each instruction: from its parts to its class.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scow.words.dockerfile import lexer, mounts, syntax
from scow.words.dockerfile.flags import Flags
from scow.words.dockerfile.lexer import Parts, Word
from scow.words.dockerfile.problem import Problem, did_you_mean
from scow.words.dockerfile.source import Logical
from scow.words.dockerfile.syntax import CommandLine, Heredoc, Instruction, Pair

_STAGE = re.compile(r"[a-z][a-z0-9\-_.]*")
_RETRIES_MAX = (1 << 31) - 1
_ON_BUILD = re.compile(r"(?i)onbuild[\t\v\f\r ]+")


@dataclass(frozen=True)
class Given:
    """What a function of this module makes an instruction of."""

    parts: Parts
    escape: str
    logical: Logical
    heredocs: Sequence[Heredoc]

    @property
    def name(self) -> str:
        """Name of the instruction, in capitals."""
        return self.parts.name.upper()

    def flags(self, *known: str, repeated: Sequence[str] = ()) -> Flags:
        """Return its flags, which are checked."""
        return Flags(self.parts.flags, self.name, known, repeated)

    def problem(self, message: str, do: str, offset: int | None = None) -> Problem:
        """Return the problem that the arguments have."""
        return Problem(message, do, self.parts.rest_offset if offset is None else offset)

    def needs(self, example: str) -> str:
        """Return all arguments as one text, of which there must be some."""
        if not self.parts.rest:
            raise Problem(
                f"{self.name} has no argument",
                f"write {self.name} {example}",
                self.parts.name_offset,
            )
        return self.parts.rest

    def refuse_flags(self) -> None:
        """Check that there are no flags."""
        self.flags()


def parse(logical: Logical, escape: str) -> Instruction | syntax.Stage:
    """Return an instruction, or the beginning of a stage.

    Raises:
        Problem: It is unknown, or its arguments are wrong; the offset is that of the text of `logical.span`.
    """
    parts = lexer.divide(logical.span.text, escape)
    return _parse(Given(parts, escape, logical, logical.heredocs))


def _parse(given: Given) -> Instruction | syntax.Stage:
    known = _INSTRUCTIONS.get(given.name)
    if known is None:
        word = given.parts.name
        raise Problem(
            f"unknown instruction {word[:40]!r}",
            did_you_mean(word, list(_INSTRUCTIONS)),
            given.parts.name_offset,
        )
    found = known(given)
    return replace(found, comments=given.logical.comments)


def _from(given: Given) -> syntax.Stage:
    flags = given.flags("platform")
    given.needs("IMAGE")
    words = lexer.blank_separated(given.parts.rest, given.parts.rest_offset)
    if len(words) != 1 and (len(words) != 3 or words[1].text.lower() != "as"):
        raise given.problem(
            "FROM takes an image, and after AS a name for the stage",
            "write FROM IMAGE or FROM IMAGE AS NAME",
            words[1].offset,
        )
    written = words[2].text if len(words) == 3 else ""
    if written and not _STAGE.fullmatch(written.lower()):
        raise given.problem(
            f"invalid name of a stage {written!r}",
            "begin with a letter; letters, digits, '-', '_' and '.' may follow",
            words[2].offset,
        )
    return syntax.Stage(
        given.logical.span,
        words[0].text,
        written.lower(),
        flags.text("platform"),
        written_name=written,
        word_as=words[1].text if written else "",
    )


def _arg(given: Given) -> syntax.Arg:
    given.refuse_flags()
    given.needs("NAME or ARG NAME=DEFAULT")
    pairs = []
    for word in lexer.quoted_words(given.parts.rest, given.escape, given.parts.rest_offset):
        key, equals, value = word.text.partition("=")
        if not key:
            raise given.problem("ARG has an empty name", "write ARG NAME=DEFAULT", word.offset)
        pairs.append(Pair(key, value if equals else None))
    return syntax.Arg(given.logical.span, tuple(pairs))


def _pairs(given: Given) -> tuple[Pair, ...]:
    given.refuse_flags()
    given.needs("KEY=VALUE")
    words = lexer.quoted_words(given.parts.rest, given.escape, given.parts.rest_offset)
    if "=" not in words[0].text:  # the old form
        divided = lexer.first_and_rest(given.parts.rest)
        if divided is None:
            raise given.problem(
                f"{given.name} {given.parts.rest[:40]!r} has no value",
                f"write {given.name} {given.parts.rest[:40]}=VALUE",
            )
        return (Pair(*divided, is_legacy=True),)
    return tuple(_pair(given, word) for word in words)


def _pair(given: Given, word: Word) -> Pair:
    key, equals, value = word.text.partition("=")
    if not equals:
        raise given.problem(
            f"there is no '=' in {word.text[:40]!r}",
            "write KEY=VALUE, and values with spaces in quotes",
            word.offset,
        )
    if not key:
        raise given.problem(f"{given.name} has an empty name", "write KEY=VALUE", word.offset)
    return Pair(key, value)


def _env(given: Given) -> syntax.Env:
    return syntax.Env(given.logical.span, _pairs(given))


def _label(given: Given) -> syntax.Label:
    return syntax.Label(given.logical.span, _pairs(given))


def _one(
    example: str, make: Callable[[syntax.Span, str], Instruction]
) -> Callable[[Given], Instruction]:
    """Return the function for an instruction that takes the rest of its line as one text."""

    def instruction(given: Given) -> Instruction:
        given.refuse_flags()
        return make(given.logical.span, given.needs(example))

    return instruction


def _command(given: Given) -> CommandLine:
    args = lexer.json_array(given.parts.rest, given.parts.rest_offset)
    if args is not None:
        return CommandLine(args, is_exec=True)
    text = given.parts.rest
    return CommandLine((text,) if text else (), heredocs=tuple(given.heredocs))


def _run(given: Given) -> syntax.Run:
    flags = given.flags("network", "security", repeated=("mount", "device"))
    given.needs("COMMAND")
    found = flags.texts("mount")
    offsets = [flag.offset for flag in given.parts.flags if flag.name == "mount"]
    for text, offset in zip(found, offsets, strict=True):
        try:
            mounts.references(text)
            if "$" not in text:
                mounts.parse(text)
        except Problem as problem:
            raise Problem(problem.message, problem.do, offset) from None
    return syntax.Run(
        given.logical.span,
        _command(given),
        found,
        flags.choice("network", ("default", "none", "host")),
        flags.choice("security", ("sandbox", "insecure")),
        flags.texts("device"),
    )


def _cmd(given: Given) -> syntax.Cmd:
    given.refuse_flags()
    return syntax.Cmd(given.logical.span, _command(given))


def _entrypoint(given: Given) -> syntax.Entrypoint:
    given.refuse_flags()
    return syntax.Entrypoint(given.logical.span, _command(given))


def _shell(given: Given) -> syntax.Shell:
    given.refuse_flags()
    args = lexer.json_array(given.needs('["/bin/sh", "-c"]'), given.parts.rest_offset)
    if not args:
        raise given.problem("SHELL takes a JSON array", 'write SHELL ["/bin/sh", "-c"]')
    return syntax.Shell(given.logical.span, args)


def _copy(given: Given) -> syntax.Copy:
    flags = given.flags("from", "chown", "chmod", "link", "parents", repeated=("exclude",))
    sources, documents, destination, is_json = _sources(given)
    from_name = flags.text("from")
    if "$" in from_name[:-1]:
        raise given.problem(
            "--from takes no variables",
            "write FROM $NAME AS stage with a global ARG, and --from=stage",
            next(flag.offset for flag in given.parts.flags if flag.name == "from"),
        )
    return syntax.Copy(
        given.logical.span,
        sources,
        destination,
        documents,
        flags.text("chown"),
        flags.text("chmod"),
        bool(flags.boolean("link")),
        flags.texts("exclude"),
        is_json,
        from_name=from_name,
        keeps_parents=bool(flags.boolean("parents")),
    )


def _add(given: Given) -> syntax.Add:
    flags = given.flags(
        *("chown", "chmod", "link", "checksum", "unpack", "keep-git-dir"), repeated=("exclude",)
    )
    sources, documents, destination, is_json = _sources(given)
    return syntax.Add(
        given.logical.span,
        sources,
        destination,
        documents,
        flags.text("chown"),
        flags.text("chmod"),
        bool(flags.boolean("link")),
        flags.texts("exclude"),
        is_json,
        checksum=flags.text("checksum"),
        unpacks=flags.boolean("unpack"),
        keeps_git_dir=flags.boolean("keep-git-dir"),
    )


def _sources(given: Given) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str, bool]:
    """Return paths, here-documents, the destination, and whether they are a JSON array."""
    given.needs("SOURCE DESTINATION")
    array = lexer.json_array(given.parts.rest, given.parts.rest_offset)
    words = lexer.blank_separated(given.parts.rest, given.parts.rest_offset)
    texts = [word.text for word in words] if array is None else list(array)
    if len(texts) < 2:
        raise given.problem(
            f"{given.name} has no destination",
            f"write {given.name} {texts[0][:40] if texts else 'SOURCE'} DESTINATION",
        )
    if array is not None:
        return tuple(texts[:-1]), (), texts[-1], True
    are_documents = [lexer.heredoc_mark(word.text, word.offset) is not None for word in words]
    if are_documents[-1]:
        raise given.problem(
            f"the destination of {given.name} is a here-document",
            f"write {given.name} <<NAME DESTINATION",
            words[-1].offset,
        )
    sources = [text for text, found in zip(texts, are_documents, strict=True) if not found]
    return tuple(sources[:-1]), tuple(given.heredocs), texts[-1], False


def _volume(given: Given) -> syntax.Volume:
    given.refuse_flags()
    given.needs('PATH or VOLUME ["PATH"]')
    paths = lexer.json_array(given.parts.rest, given.parts.rest_offset)
    if paths is None:
        words = lexer.blank_separated(given.parts.rest, given.parts.rest_offset)
        paths = tuple(word.text for word in words)
    paths = tuple(path.strip() for path in paths)
    if not paths or not all(paths):
        raise given.problem("VOLUME has an empty path", 'write VOLUME ["/data"]')
    return syntax.Volume(given.logical.span, paths)


def _expose(given: Given) -> syntax.Expose:
    given.refuse_flags()
    given.needs("PORT")
    return syntax.Expose(
        given.logical.span,
        tuple(word.text for word in lexer.blank_separated(given.parts.rest)),
    )


def _healthcheck(given: Given) -> syntax.Healthcheck:
    flags = given.flags("interval", "timeout", "start-period", "start-interval", "retries")
    check = syntax.Healthcheck(
        given.logical.span,
        None,
        flags.duration("interval"),
        flags.duration("timeout"),
        flags.duration("start-period"),
        flags.duration("start-interval"),
        flags.number("retries", _RETRIES_MAX),
    )
    text = given.needs("CMD COMMAND or HEALTHCHECK NONE")
    kind = lexer.blank_separated(text)[0].text
    rest = text[len(kind) :].strip()
    rest_offset = given.parts.rest_offset + len(text) - len(rest)
    if kind.upper() == "NONE":
        if rest:
            raise given.problem(
                "HEALTHCHECK NONE takes no arguments", "remove what follows NONE", rest_offset
            )
        return syntax.Healthcheck(given.logical.span, None)
    if kind.upper() != "CMD":
        raise given.problem(
            f"unknown kind of health check {kind[:40]!r}",
            "write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE",
        )
    array = lexer.json_array(rest, rest_offset)
    args = ((rest,) if rest else ()) if array is None else array
    if not args:
        raise given.problem("HEALTHCHECK CMD has no command", "write HEALTHCHECK CMD COMMAND")
    return replace(check, command=CommandLine(args, is_exec=array is not None))


def _on_build(given: Given) -> syntax.OnBuild:
    given.refuse_flags()
    text = given.needs("INSTRUCTION")
    inner = lexer.divide(text, given.escape)
    base = given.parts.rest_offset
    name = inner.name.upper()
    if name in ("ONBUILD", "FROM", "MAINTAINER"):
        raise given.problem(
            f"{name} is not allowed in ONBUILD", "write ONBUILD with another instruction"
        )
    moved = replace(
        inner,
        flags=tuple(replace(flag, offset=flag.offset + base) for flag in inner.flags),
        name_offset=inner.name_offset + base,
        rest_offset=inner.rest_offset + base,
    )
    found = _parse(replace(given, parts=moved))
    assert isinstance(found, Instruction)
    trigger = _ON_BUILD.sub("", given.logical.span.text.strip(), count=1)
    documents = "".join(f"\n{document.content}{document.name}" for document in given.heredocs)
    return syntax.OnBuild(given.logical.span, trigger + documents, found)


_INSTRUCTIONS: dict[str, Callable[[Given], Instruction | syntax.Stage]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _one("NAME", syntax.Maintainer),
    "ONBUILD": _on_build,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _one("SIGTERM", syntax.StopSignal),
    "USER": _one("NAME", syntax.User),
    "VOLUME": _volume,
    "WORKDIR": _one("/PATH", syntax.Workdir),
}
NAMES = tuple(_INSTRUCTIONS)
