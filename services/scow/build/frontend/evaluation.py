"""One stage: its instructions in order, with variables replaced, become steps, a configuration and a history.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend import checks, history, transfers
from scow.build.frontend.findings import Findings
from scow.build.frontend.steps import (
    AnyStep,
    BuildStage,
    ContextSource,
    File,
    HistoryEntry,
    RunStep,
    ScratchSource,
    Source,
    StepMount,
    WorkdirStep,
)
from scow.build.frontend.variables import NOT_IN_ENVIRONMENT, Options, proxies
from scow.words.dockerfile import configuration, expansion, lexer, syntax
from scow.words.dockerfile.expansion import Mode, Scope
from scow.words.dockerfile.problem import Problem, error_in, similar
from scow.words.dockerfile.substitution import substituted, substituted_mounts
from scow.words.dockerfile.syntax import Dockerfile, Instruction, Mount

_SCRIPTS = "/dev/pipes/"
_SECRETS = "/run/secrets/"


@dataclass(frozen=True)
class Inherited:
    """What a stage begins with, and what it hands to a stage that begins with it.

    Attributes:
        config: Configuration; is not changed.
        author: Of the image.
        triggers: Instructions of the base, done first.
        instructions: Those of the stage.
        variables: By ARG, of the stages below: what they hold, None without a value.
        values: All variables that are set.
        workdir_given: Whether one of the stages below has a WORKDIR.
        is_known: Whether the configuration is that of the base, rather than unknown.
    """

    config: pb.ImageConfig
    author: str
    triggers: tuple[Instruction, ...]
    instructions: tuple[Instruction, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    workdir_given: bool = False
    is_known: bool = True

    def passed_on(
        self, triggers: tuple[Instruction, ...], instructions: tuple[Instruction, ...]
    ) -> Inherited:
        """Return the same for a stage above; triggers are not handed on twice."""
        config = pb.ImageConfig()
        config.CopyFrom(self.config)
        config.ClearField("on_build")
        return replace(self, config=config, triggers=triggers, instructions=instructions)


class Evaluation:
    """Evaluates a stage.

    Args:
        dockerfile: The file.
        options: What is asked for.
        global_values: Variables before the first FROM.
        findings: Takes down what checks find.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        options: Options,
        global_values: Mapping[str, str],
        findings: Findings,
    ) -> None:
        self._file = dockerfile
        self._options = options
        self._globals = global_values
        self._findings = findings
        self._mode = Mode(dockerfile.escape)
        self._config = pb.ImageConfig()
        self._author = ""
        self._values: dict[str, str] = {}
        self._args: dict[str, str | None] = {}
        self._steps: list[AnyStep] = []
        self._history: list[HistoryEntry] = []
        self._command_given = False
        self._workdir_given = False
        self._sources: Mapping[str, Source] = {}
        self._is_known = True
        self._is_trigger = False

    def stage(
        self, begun: BuildStage, inherited: Inherited, sources: Mapping[str, Source]
    ) -> tuple[BuildStage, Inherited]:
        """Return a stage with its steps, and what it hands to stages that begin with it.

        Args:
            begun: Base, platform and name.
            inherited: What it begins with.
            sources: What names after `from=` mean.

        Raises:
            InvalidDockerfile: An instruction that cannot be.
        """
        self._config.CopyFrom(inherited.config)
        self._author = inherited.author
        self._values = {**configuration.variables(inherited.config), **inherited.values}
        self._args = dict(inherited.variables)
        self._workdir_given = inherited.workdir_given
        self._sources, self._is_known = sources, inherited.is_known
        for self._is_trigger, instructions in (
            (True, inherited.triggers),
            (False, inherited.instructions),
        ):
            for instruction in instructions:
                self._evaluate(instruction)
        done = replace(
            begun,
            steps=tuple(self._steps),
            config=self._config,
            author=self._author,
            history=tuple(self._history),
        )
        return done, replace(
            inherited,
            config=self._config,
            author=self._author,
            variables=self._args,
            values=self._values,
            workdir_given=self._workdir_given,
        )

    def _evaluate(self, instruction: Instruction) -> None:
        try:
            scope = Scope(self._values)
            found = substituted(instruction, scope, self._mode)
            self._note_missing(scope, instruction)
            match found:
                case syntax.Arg():
                    self._arg(found)
                case syntax.Run():
                    self._run(found)
                case syntax.Copy() | syntax.Add():
                    self._transfer(instruction, found)
                case syntax.Workdir():
                    self._workdir(instruction, found)
                case _:
                    self._configure(found)
        except Problem as problem:
            raise error_in(instruction.span, self._file.lines, problem) from None

    def _note_missing(self, scope: Scope, instruction: Instruction) -> None:
        if not self._is_known:
            return
        for name in sorted(scope.missing - self._args.keys() - set(NOT_IN_ENVIRONMENT)):
            found = similar(name, self._values)
            advice = f" (did you mean ${found}?)" if found else ""
            message = f"'${name}' is not defined{advice}"
            self._findings.note("UndefinedVar", instruction.span.start, message)

    def _configure(self, found: Instruction) -> None:
        if isinstance(found, syntax.Expose):
            checks.ports(found.ports, found, self._findings)
        if isinstance(found, syntax.Maintainer):
            self._author = found.name
        if isinstance(found, syntax.Cmd | syntax.Entrypoint):
            self._check_form(found)
        configuration.apply(self._config, found, keeps_command=self._command_given)
        self._command_given |= isinstance(found, syntax.Cmd)
        if isinstance(found, syntax.Env):
            self._values |= {pair.key: pair.value or "" for pair in found.pairs}
        text = history.created_by(found, self._config)
        if text is not None:
            self._history.append(HistoryEntry(text))

    def _check_form(self, found: syntax.Cmd | syntax.Entrypoint) -> None:
        if not found.command.is_exec and found.command.args and not self._config.shell:
            name = type(found).__name__.upper()
            message = f"{name} in shell form: the shell, not the program, gets signals"
            self._findings.note("JSONArgsRecommended", found.span.start, message)

    def _arg(self, found: syntax.Arg) -> None:
        texts = []
        for pair in found.pairs:
            value = self._options.build_args.get(pair.key)
            if value is None and pair.value is not None:
                scope = Scope(self._values)
                try:
                    value = expansion.word(pair.value, scope, self._mode)
                except Problem as problem:
                    raise problem.moved(max(found.span.text.find(pair.value), 0)) from None
                self._note_missing(scope, found)
            elif value is None:
                value = self._globals.get(pair.key)
            if value is not None and pair.key not in NOT_IN_ENVIRONMENT:
                self._values[pair.key] = value
            self._args[pair.key] = value
            texts.append(pair.key if value is None else f"{pair.key}={value}")
        self._history.append(HistoryEntry(f"ARG {' '.join(texts)}"))

    def _title(self, instruction: Instruction, hidden: Mapping[str, str] | None = None) -> str:
        """Return an instruction in one line for people; what is in a secret is not among the variables."""
        name, blank, rest = instruction.span.text.strip().partition(" ")
        mode = Mode(self._mode.escape, keeps_quotes=True, keeps_unset=True)
        with contextlib.suppress(Problem):  # what the shell understands may be none of our forms
            rest = expansion.word(rest, {**self._values, **(hidden or {})}, mode)
        return f"{name.upper()}{blank}{rest}"

    def _run(self, found: syntax.Run) -> None:
        mounts = tuple(
            self._mount(found, mount)
            for mount in substituted_mounts(found, Scope(self._values), self._mode)
        )
        args, scripts, comment = self._command(found.command)
        hidden = {mount.mount.env: "****" for mount in mounts if mount.mount.env}
        step = RunStep(
            found.span,
            self._title(found, hidden) + comment,
            tuple(args),
            tuple(f"{key}={value}" for key, value in self._values.items()),
            tuple(key for key, value in self._args.items() if value is not None),
            self._config.user,
            self._config.working_dir or "/",
            mounts,
            found.network,
            found.security,
            found.devices,
            self._proxies(),
            scripts,
            from_on_build=self._is_trigger,
        )
        shown = [(key, self._values.get(key, value or "")) for key, value in self._args.items()]
        self._add(step, history.run(args, shown))

    def _proxies(self) -> tuple[str, ...]:
        found = proxies(self._options.build_args)
        return tuple(f"{key}={value}" for key, value in found.items() if key not in self._args)

    def _command(self, command: syntax.CommandLine) -> tuple[list[str], tuple[File, ...], str]:
        """Return what is run, files for it, and a comment for people."""
        if not command.heredocs:
            return configuration.arguments(self._config, command), (), ""
        line = command.args[0]
        first = command.heredocs[0]
        scripts: tuple[File, ...] = ()
        comment = ""
        if lexer.heredoc_mark(line) is not None:
            text = first.body
            comment = f" ({_summary(text)})"
            if text.startswith("#!"):
                if not transfers.is_file_name(first.name):
                    raise Problem(f"{first.name[:40]!r} is not the name of a file", "write <<EOF")
                scripts = (File(first.name, text),)
                text = _SCRIPTS + first.name
        else:
            documents = (f"\n{document.content}{document.name}" for document in command.heredocs)
            text = line + "".join(documents)
        plain = syntax.CommandLine((text,))
        return configuration.arguments(self._config, plain), scripts, comment

    def _mount(self, found: syntax.Run, mount: Mount) -> StepMount:
        if mount.type == "secret":
            name = mount.source or mount.id or posixpath.basename(mount.target)
            target = mount.target
            if not target and mount.env is None:
                target = _SECRETS + posixpath.basename(name)
            env = mount.env or (name if mount.env is not None else None)
            return StepMount(
                replace(mount, id=name, source="", env=env), None, self._target(target)
            )
        if mount.type == "ssh":
            return StepMount(
                replace(mount, id=mount.id or "default"), None, self._target(mount.target)
            )
        target = self._target(mount.target)
        if target == "/":
            raise Problem(
                "a mount cannot have the target /",
                "write target=/PATH",
                max(found.span.text.find("--mount"), 0),
            )
        if mount.type == "tmpfs":
            return StepMount(mount, None, target)
        mount = replace(mount, source=posixpath.normpath("/" + mount.source).lstrip("/"))
        source: Source = ContextSource() if mount.type == "bind" else ScratchSource()
        if mount.from_name:
            source = self._sources[mount.from_name]
        if mount.type == "cache":
            cache = mount.id or posixpath.normpath(mount.target)
            mount = replace(mount, id=cache, sharing=mount.sharing or "shared")
        return StepMount(mount, source, target)

    def _target(self, target: str) -> str:
        return configuration.workdir(self._config, target) if target else ""

    def _transfer(self, written: Instruction, found: syntax.Copy | syntax.Add) -> None:
        source: Source = ContextSource()
        if isinstance(found, syntax.Copy) and found.from_name:
            source = self._sources[found.from_name]
        place = transfers.Place(
            source, self._config.working_dir or "/", self._title(written), self._is_trigger
        )
        step = transfers.step(found, place)
        if source == ContextSource():
            checks.copied(step.paths, found, self._options.ignore, self._findings)
        self._add(step, history.transfer(found))

    def _workdir(self, written: Instruction, found: syntax.Workdir) -> None:
        if not self._workdir_given and not found.path.startswith("/"):
            message = f"{found.path!r} is relative to what the base image has"
            self._findings.note("WorkdirRelativePath", found.span.start, message)
        self._workdir_given = True
        configuration.apply(self._config, found)
        path = self._config.working_dir
        text = f"WORKDIR {path}"
        if path == "/":
            self._history.append(HistoryEntry(text))
            return
        step = WorkdirStep(
            found.span,
            self._title(written),
            path,
            self._config.user,
            from_on_build=self._is_trigger,
        )
        self._add(step, text)

    def _add(self, step: AnyStep, text: str) -> None:
        self._history.append(HistoryEntry(text, len(self._steps)))
        self._steps.append(step)


def _summary(text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return first + "..." * bool(rest)
