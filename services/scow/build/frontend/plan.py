"""From a Dockerfile to stages that can be built: what is needed, in which order, from which images.

::

    plan = Plan(dockerfile, options)
    while wanted := plan.missing():          # triggers of a base image may need further ones
        for source in wanted:
            plan.provide(source, ...)        # its configuration
    stages = plan.stages()                   # the target comes last

Nothing here reads files, asks a registry or waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend import checks
from scow.build.frontend.evaluation import Evaluation, Inherited
from scow.build.frontend.findings import Finding, Findings, Policy
from scow.build.frontend.steps import (
    BaseImage,
    BuildStage,
    ContextSource,
    ImageSource,
    ScratchSource,
    Source,
    StageSource,
)
from scow.build.frontend.variables import Options, global_scope
from scow.contract.errors import InvalidDockerfile
from scow.words import references
from scow.words.dockerfile import expansion, mounts, parser, syntax
from scow.words.dockerfile.configuration import DEFAULT_PATH
from scow.words.dockerfile.expansion import Mode, Scope
from scow.words.dockerfile.problem import Problem, did_you_mean, error_in, similar
from scow.words.dockerfile.syntax import Dockerfile, Instruction, Span, Stage
from scow.words.platforms import parse as parse_platform

SCRATCH = "scratch"
# What triggers of one image may hold: they come from strangers.
_TRIGGERS_MAX = 1000


@dataclass
class _Planned:
    """A stage on its way: `triggers` is None until the base is known."""

    index: int
    stage: Stage
    base: Source
    platform: str
    triggers: tuple[Instruction, ...] | None = None
    needs: set[int] = field(default_factory=set)


class Plan:
    """The stages of a Dockerfile.

    Args:
        dockerfile: The file.
        options: What is asked for.

    Raises:
        InvalidDockerfile: A stage that is not there, variables that cannot be replaced, and the like.
    """

    def __init__(self, dockerfile: Dockerfile, options: Options) -> None:
        self._file = dockerfile
        self._options = options
        self._mode = Mode(dockerfile.escape)
        self._contexts = {_normal(name): name for name in sorted(options.contexts)}
        self._globals = global_scope(dockerfile, options)
        self._findings = Findings(dockerfile, Policy.of(dockerfile))
        self._bases: dict[Source, BaseImage] = {}
        self._planned: list[_Planned] = []
        self._names: dict[str, int] = {}
        checks.check(dockerfile, self._findings)
        for index, stage in enumerate(dockerfile.stages):
            self._planned.append(self._begin(index, stage))
            if stage.name:
                self._names[stage.name] = index
        self._check_defaults()
        self._target = self._find_target()

    @property
    def target(self) -> int:
        """Number of the stage that is built."""
        return self._target

    @property
    def source_date_epoch(self) -> str:
        """SOURCE_DATE_EPOCH as given or as a global ARG; empty without one."""
        key = "SOURCE_DATE_EPOCH"
        return self._options.build_args.get(key, self._globals.get(key, ""))

    def missing(self) -> tuple[ImageSource | ContextSource, ...]:
        """Return the bases whose configuration must be provided next; empty when `stages` can be called."""
        found: dict[ImageSource | ContextSource, None] = {}
        for planned in self._reachable():
            base = planned.base
            if isinstance(base, ImageSource | ContextSource) and base not in self._bases:
                found[base] = None
        return tuple(found)

    def provide(self, source: Source, base: BaseImage) -> None:
        """Tell the configuration of a base; of a context that is no image, an empty one."""
        self._bases[source] = base

    def stages(self) -> tuple[BuildStage, ...]:
        """Return what has to be built, each stage after those that it needs; the target is the last.

        Raises:
            InvalidDockerfile: An instruction that cannot be, now that its variables are known; or there are findings,
                and the file asks that they fail the build.
        """
        built: list[BuildStage] = []
        inherited: dict[int, Inherited] = {}
        for planned in self._reachable():
            evaluation = Evaluation(self._file, self._options, self._globals, self._findings)
            begin = self._inherited(planned, inherited)
            stage, end = evaluation.stage(self._begun(planned), begin, self._resolved(planned))
            inherited[planned.index] = end
            built.append(stage)
        self._findings.enforce()
        if built[-1].index != self._target:  # all stages were asked for
            return tuple(built)
        for key, value in self._options.labels.items():
            built[-1].config.labels[key] = value
        return tuple(built)

    def findings(self) -> tuple[Finding, ...]:
        """Return what checks found up to now: all of it after `stages`."""
        return self._findings.sorted()

    def _begin(self, index: int, stage: Stage) -> _Planned:
        scope = Scope(self._globals)
        base = self._expanded(stage, stage.base, scope)
        if not base:
            raise self._error(
                stage.span,
                f"the image of FROM is empty: {stage.base}",
                self._advice(scope) or "give its variables values by --build-arg or ARG",
                stage.base,
            )
        platform = self._platform(stage, scope)
        for name in sorted(scope.missing):
            found = similar(name, self._globals)
            message = f"'${name}' is not declared by an ARG before FROM"
            advice = f" (did you mean ${found}?)" if found else ""
            self._findings.note("UndefinedArgInFrom", stage.span.start, message + advice)
        source = self._base_source(stage, base, platform)
        needs = {source.index} if isinstance(source, StageSource) else set()
        if isinstance(source, StageSource) and not platform:
            platform = self._planned[source.index].platform
        return _Planned(index, stage, source, platform or self._options.platform, needs=needs)

    def _base_source(self, stage: Stage, base: str, platform: str) -> Source:
        if stage.name in self._options.contexts and stage.name:
            return ContextSource(stage.name)
        if base.lower() in self._names:
            return StageSource(self._names[base.lower()])
        if base == SCRATCH:
            return ScratchSource()
        return self._image(base, platform)

    def _image(self, name: str, platform: str) -> Source:
        context = self._contexts.get(_normal(name))
        return ContextSource(context) if context is not None else ImageSource(name, platform)

    def _platform(self, stage: Stage, scope: Scope) -> str:
        if not stage.platform:
            return ""
        used = Scope(self._globals)
        text = self._expanded(stage, stage.platform, used)
        scope.missing |= used.missing
        self._check_platform(stage, text)
        try:
            return str(parse_platform(text))
        except ValueError as error:
            do = self._advice(used) or "write linux/amd64, linux/arm64 and the like"
            message = (
                f"the platform {stage.platform}: {error}"
                if text
                else f"the platform is empty: {stage.platform}"
            )
            raise self._error(stage.span, message, do, stage.platform) from None

    def _check_platform(self, stage: Stage, text: str) -> None:
        start = stage.span.start
        if stage.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            message = f"{stage.platform} is the platform without --platform too"
            self._findings.note("RedundantTargetPlatform", start, message)
        if "$" not in stage.platform and not any(
            part in stage.name for part in text.split("/")[:2] if stage.name
        ):
            message = f"the platform {text!r} is always the same"
            self._findings.note("FromPlatformFlagConstDisallowed", start, message)

    def _check_defaults(self) -> None:
        """Check that each FROM names an image also without `--build-arg`."""
        values = global_scope(self._file, Options(platform=self._options.platform))
        for stage in self._file.stages:
            try:
                base = expansion.word(stage.base, values, self._mode)
            except Problem:
                continue
            if not references.is_plausible(base):
                message = (
                    f"with the defaults of its variables, {stage.base} is {base!r}, not an image"
                )
                self._findings.note("InvalidDefaultArgInFrom", stage.span.start, message)

    def _advice(self, scope: Scope) -> str:
        for name in sorted(scope.missing):
            found = similar(name, self._globals)
            if found:
                return f"did you mean ${found}?"
        return ""

    def _expanded(self, stage: Stage, text: str, scope: Scope) -> str:
        try:
            return expansion.word(text, scope, self._mode)
        except Problem as problem:
            at = max(stage.span.text.find(text), 0)
            raise error_in(stage.span, self._file.lines, problem.moved(at)) from None

    def _error(self, span: Span, message: str, do: str, word: str = "") -> InvalidDockerfile:
        at = max(span.text.find(word), 0) if word else 0
        return error_in(span, self._file.lines, Problem(message, do, at))

    def _find_target(self) -> int:
        target = self._options.target
        if not target:
            return len(self._planned) - 1
        index = self._names.get(target.lower())
        if index is None and target.isascii() and target.isdecimal() and len(target) < 9:
            index = int(target)
        if index is None or index >= len(self._planned):
            last = self._file.stages[-1]
            do = did_you_mean(target, list(self._names)) or "leave --target out"
            raise self._error(last.span, f"there is no stage {target[:40]!r}, the target", do)
        return index

    def _reachable(self) -> list[_Planned]:
        """Return the stages that the target needs, as far as they are known, in order."""
        wanted = set(range(len(self._planned))) if self._options.all_stages else {self._target}
        pending = sorted(wanted)
        while pending:
            planned = self._planned[pending.pop()]
            self._open(planned)
            for index in planned.needs - wanted:
                wanted.add(index)
                pending.append(index)
        return [self._planned[index] for index in sorted(wanted)]

    def _open(self, planned: _Planned) -> None:
        """Find out what a stage needs, and what its base triggers once that is known."""
        if planned.triggers is None:
            for instruction in planned.stage.instructions:
                planned.needs |= self._needed(planned, instruction)
            planned.triggers = self._triggers(planned)
            for instruction in planned.triggers or ():
                planned.needs |= self._needed(planned, instruction)

    def _triggers(self, planned: _Planned) -> tuple[Instruction, ...] | None:
        if isinstance(planned.base, StageSource):
            of_stage = self._planned[planned.base.index].stage
            texts = [
                found.trigger
                for found in of_stage.instructions
                if isinstance(found, syntax.OnBuild)
            ]
        elif isinstance(planned.base, ScratchSource):
            texts = []
        elif planned.base in self._bases:
            texts = list(self._bases[planned.base].config.on_build)
        else:
            return None
        if len(texts) > _TRIGGERS_MAX:
            message = f"the base has more than {_TRIGGERS_MAX} triggers"
            raise self._error(planned.stage.span, message, "use another base", planned.stage.base)
        return tuple(self._trigger(planned.stage, text) for text in texts)

    def _trigger(self, stage: Stage, text: str) -> Instruction:
        try:
            found = parser.parse_instruction(text, stage.span)
        except InvalidDockerfile as error:
            message = f"the base triggers {text[:80]!r}: {error.message.partition(': ')[2]}"
            raise self._error(stage.span, message, "tell who made the base", stage.base) from None
        if isinstance(found, syntax.OnBuild | syntax.Maintainer):
            message = f"the base triggers {text[:80]!r}, which triggers may not be"
            raise self._error(stage.span, message, "tell who made the base", stage.base)
        return found

    def _needed(self, planned: _Planned, instruction: Instruction) -> set[int]:
        """Return the numbers of the stages whose files an instruction uses."""
        names = []
        if isinstance(instruction, syntax.Copy) and instruction.from_name:
            names = [instruction.from_name]
        elif isinstance(instruction, syntax.Run):
            names = list(filter(None, map(mounts.references, instruction.mounts)))
        sources = [self._source(planned, name, instruction.span) for name in names]
        return {source.index for source in sources if isinstance(source, StageSource)}

    def _source(self, planned: _Planned, name: str, span: Span) -> Source:
        """Return what a name after `from=` means: a stage, a named context, an image."""
        if name == SCRATCH:
            return ScratchSource()
        index = self._names.get(name.lower())
        if index is None and name.isascii() and name.isdecimal() and len(name) < 9:
            index = int(name)
            if index >= len(self._planned):
                do = f"the stages have the numbers 0 to {len(self._planned) - 1}"
                raise self._error(span, f"there is no stage {name}", do, name)
        if index is None:
            return self._image(name, self._options.platform)
        if index >= planned.index:
            which = "this stage itself" if index == planned.index else "a later stage"
            raise self._error(
                span, f"{name!r} is {which}", "use a stage that is defined before this one", name
            )
        return StageSource(index)

    def _resolved(self, planned: _Planned) -> dict[str, Source]:
        """Return what each name after `from=` in a stage means."""
        found: dict[str, Source] = {}
        for instruction in (*(planned.triggers or ()), *planned.stage.instructions):
            names: Sequence[str] = ()
            if isinstance(instruction, syntax.Copy) and instruction.from_name:
                names = (instruction.from_name,)
            elif isinstance(instruction, syntax.Run):
                names = tuple(filter(None, map(mounts.references, instruction.mounts)))
            for name in names:
                found[name] = self._source(planned, name, instruction.span)
        return found

    def _begun(self, planned: _Planned) -> BuildStage:
        stage = planned.stage
        return BuildStage(
            planned.index,
            stage.name,
            planned.base,
            planned.platform,
            (),
            pb.ImageConfig(),
            needs=tuple(sorted(planned.needs)),
        )

    def _check_base(self, planned: _Planned, base: BaseImage) -> None:
        """Check that an image is for the platform that is asked for, variants aside."""
        wanted, found = planned.platform.split("/")[:2], base.platform.split("/")[:2]
        if base.platform and wanted != found:
            message = (
                f"the image {planned.stage.base} is for {base.platform}, not {planned.platform}"
            )
            self._findings.note("InvalidBaseImagePlatform", planned.stage.span.start, message)

    def _inherited(self, planned: _Planned, inherited: dict[int, Inherited]) -> Inherited:
        """Return what a stage begins with."""
        triggers = planned.triggers or ()
        instructions = planned.stage.instructions
        if isinstance(planned.base, StageSource):
            return inherited[planned.base.index].passed_on(triggers, instructions)
        config = pb.ImageConfig()
        author, is_known = "", True
        if isinstance(planned.base, ScratchSource):
            config.working_dir = "/"
        else:
            base = self._bases[planned.base]
            config.CopyFrom(base.config)
            config.ClearField("on_build")
            author, is_known = base.author, base.is_known
            self._check_base(planned, base)
        if not any(entry.startswith("PATH=") for entry in config.env):
            config.env.append(f"PATH={DEFAULT_PATH}")
        return Inherited(config, author, triggers, instructions, is_known=is_known)


def _normal(name: str) -> str:
    """Return a name by which an image and a named context are the same."""
    return references.with_tag(references.familiar(name.lower()))
