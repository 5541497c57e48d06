"""What a Dockerfile says, as plain data.

::

    Dockerfile
    ├── directives            `# syntax=`, `# escape=`, `# check=`
    ├── global_args           `Arg` before the first FROM
    └── stages
        └── Stage             FROM: base, platform, name
            └── instructions  `Run`, `Copy`, ...: one class each

Words are as they were written, with their quotes, escapes and variables: what a variable holds is known only when a
stage is built. `scow.words.dockerfile.expansion` replaces them then. What has the JSON form has no quotes any more.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

# The version of the published syntax that this package implements.
SYNTAX_VERSION = "1.26"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A character of a file. Lines and columns count from 1."""

    line: int
    column: int = 1


@dataclass(frozen=True, slots=True)
class Span:
    """Where something stands in a file.

    Attributes:
        file: Name of the file, for messages.
        start: Its first character.
        end_line: Its last line, the content of here-documents included.
        text: The instruction in one line: continuations are joined, comments between them left out.
        pieces: Where the parts of `text` come from: offset in `text`, and the position there. Sorted.
    """

    file: str
    start: Position
    end_line: int
    text: str
    pieces: tuple[tuple[int, Position], ...] = field(default=(), repr=False, compare=False)

    def at(self, offset: int) -> Position:
        """Return where a character of `text` stands in the file."""
        found = self.start
        begin = 0
        for first, position in self.pieces:
            if first > offset:
                break
            found, begin = position, first
        return replace(found, column=found.column + max(offset - begin, 0))


@dataclass(frozen=True, slots=True)
class Directive:
    """A parser directive, `# name=value`."""

    name: str
    value: str
    position: Position


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document.

    Attributes:
        name: The word that ends it, without quotes; for COPY and ADD also the name of the file.
        content: Its lines as written.
        expands: Whether variables in it are replaced: the word had no quotes.
        strips_tabs: Whether tabs at the beginning of lines do not count: `<<-`.
        descriptor: The number before `<<`; 0 without one.
    """

    name: str
    content: str
    expands: bool = True
    strips_tabs: bool = False
    descriptor: int = 0

    @property
    def body(self) -> str:
        """The content, without leading tabs where they do not count."""
        if not self.strips_tabs:
            return self.content
        return "".join(line.lstrip("\t") for line in self.content.splitlines(keepends=True))


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What RUN, CMD and ENTRYPOINT run.

    Attributes:
        args: Of the exec form each argument; of the shell form the line alone, or nothing.
        is_exec: Whether it is the exec (JSON) form.
        heredocs: Here-documents of the shell form.
    """

    args: tuple[str, ...]
    is_exec: bool = False
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """KEY=VALUE; `value` is None where an ARG has no default. `is_legacy`: written `KEY VALUE`."""

    key: str
    value: str | None
    is_legacy: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name=value` as written, without quotes; `value` is None without an equals sign."""

    name: str
    value: str | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Mount:
    """`RUN --mount=...`. Numbers are None where they are not given, texts empty.

    Attributes:
        type: "bind", "cache", "tmpfs", "secret" or "ssh".
        source: Path in what it comes from; of a secret its id.
        from_name: A stage, image or named context.
        target: Where it is mounted, as written.
        read_only: Defaults to true but for caches and tmpfs.
        size: Of a tmpfs, bytes; 0 is unlimited.
        id: Of a cache, secret or SSH agent.
        sharing: Of a cache: "shared", "private" or "locked".
        is_required: Whether a secret or agent that the builder was not given is an error.
        env: Of a secret: the variable that has it; empty is its id; None is no variable.
    """

    type: str = "bind"
    source: str = ""
    from_name: str = ""
    target: str = ""
    read_only: bool = True
    size: int = 0
    id: str = ""
    sharing: str = ""
    is_required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all instructions have: where they are, and the comments directly above."""

    span: Span
    comments: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """ARG."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    """ENV."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    """LABEL."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    """MAINTAINER."""

    name: str


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    """RUN.

    Attributes:
        command: What is run.
        mounts: Each `--mount`, as written: `mounts.parse` reads them once variables are known.
        network: "default", "none" or "host".
        security: "sandbox" or "insecure".
        devices: Each `--device`, as written.
    """

    command: CommandLine
    mounts: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    """CMD."""

    command: CommandLine


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    """ENTRYPOINT."""

    command: CommandLine


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    """SHELL."""

    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transfer(Instruction):
    """What COPY and ADD have in common.

    Attributes:
        sources: Paths or URLs; here-documents are in `documents`.
        documents: Here-documents, which become files.
        destination: As written: whether it ends in a slash matters.
        chown: USER[:GROUP] by name or number, or empty.
        chmod: Octal or symbolic, or empty.
        is_linked: `--link`: the layer does not depend on what is below.
        exclude: Patterns that are left out.
        is_json: Whether it was written as a JSON array.
    """

    sources: tuple[str, ...]
    destination: str
    documents: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    is_linked: bool = False
    exclude: tuple[str, ...] = ()
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Copy(Transfer):
    """COPY.

    Attributes:
        from_name: A stage by name or number, an image, a named context; empty is the build context.
        keeps_parents: `--parents`.
    """

    from_name: str = ""
    keeps_parents: bool = False


@dataclass(frozen=True, slots=True)
class Add(Transfer):
    """ADD.

    Attributes:
        checksum: Of the one remote source: "sha256:..." or a commit; or empty.
        unpacks: `--unpack`; None is the default: local archives are unpacked, downloads are not.
        keeps_git_dir: `--keep-git-dir`; None is the default.
    """

    checksum: str = ""
    unpacks: bool | None = None
    keeps_git_dir: bool | None = None


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    """VOLUME."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """EXPOSE: PORT[-LAST][/PROTOCOL] each."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """USER."""

    user: str


@dataclass(frozen=True, slots=True)
class StopSignal(Instruction):
    """STOPSIGNAL."""

    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """HEALTHCHECK. Durations are nanoseconds; 0 is the engine's default.

    Attributes:
        command: What is run; None is HEALTHCHECK NONE.
    """

    command: CommandLine | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class OnBuild(Instruction):
    """ONBUILD.

    Attributes:
        trigger: The text of the instruction, here-documents and all, as the image has it.
        instruction: The same, parsed.
    """

    trigger: str
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Stage:
    """FROM and the instructions up to the next one.

    Attributes:
        span: Of the FROM.
        base: An image, an earlier stage, a named context or "scratch", as written, with global variables.
        name: In lower case; empty without AS.
        platform: As written, or empty.
        instructions: In their order.
        comments: Directly above the FROM.
        written_name: The name as it was written.
        word_as: "AS" as it was written.
    """

    span: Span
    base: str
    name: str = ""
    platform: str = ""
    instructions: tuple[Instruction, ...] = ()
    comments: tuple[str, ...] = ()
    written_name: str = ""
    word_as: str = ""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file.

    Attributes:
        file: Its name, for messages.
        lines: Its lines, to be shown in messages.
        escape: The character of continuation and escapes, a backslash or a backtick.
        directives: Parser directives.
        global_args: ARG before the first FROM.
        stages: In the order of the file; never empty.
        empty_continuations: Where an empty line stands within an instruction.
    """

    file: str
    lines: tuple[str, ...] = field(repr=False)
    escape: str
    directives: tuple[Directive, ...]
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    empty_continuations: tuple[Position, ...] = ()
