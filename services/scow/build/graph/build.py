"""One build: from the client's wishes to images."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1 import image_pb2
from scow.build.export import configuration, outputs
from scow.build.export.cache import CacheExporter, is_inline
from scow.build.export.outputs import About, Exported, Exporter, Result
from scow.build.frontend.plan import Plan
from scow.build.frontend.steps import (
    BaseImage,
    BuildStage,
    ContextSource,
    ImageSource,
    StageSource,
)
from scow.build.frontend.variables import Options
from scow.build.graph.sources import Sources, platform_of
from scow.build.graph.stages import Machinery, Stages
from scow.build.history.progress import Progress
from scow.contract.errors import InvalidArgument, InvalidContext, ScowError
from scow.core.tasks import together
from scow.core.times import now_ns
from scow.words.dockerfile import parser
from scow.words.dockerfile.syntax import SYNTAX_VERSION, Dockerfile
from scow.words.ignore import Ignore, InvalidIgnoreError
from scow.words.platforms import host, parse

_DOCKERFILE_MAX = 8 << 20


class Build:
    """One build.

    Args:
        machinery: What all builds share.
        sources: Where files come from.
        progress: Who is told.
        options: What is built.
        build: Its id.
        exporter: Makes outputs.
        caches: Writes caches for other engines.
    """

    def __init__(
        self,
        machinery: Machinery,
        sources: Sources,
        progress: Progress,
        options: pb.BuildOptions,
        build: str,
        exporter: Exporter,
        caches: CacheExporter,
    ) -> None:
        self._exporter = exporter
        self._caches = caches
        self._is_inline = is_inline(options)
        self._machinery = machinery
        self._sources = sources
        self._progress = progress
        self._options = options
        self._build = build
        self._started_ns = now_ns()
        self._text = b""

    async def run(self) -> pb.BuildResult:
        """Build.

        Raises:
            ScowError: It failed.
        """
        outputs.check(self._options)
        dockerfile, _ = await together(self._dockerfile(), self._sources.imports.open())
        platforms = [_platform_text(p) for p in self._options.platforms] or [str(host())]
        building = [self._platform(dockerfile, platform) for platform in dict.fromkeys(platforms)]
        results = [result for result in await together(*building) if result is not None]
        if not results:  # only checked
            return pb.BuildResult(build_id=self._build)
        about = About(self._build, self._started_ns, self._text, self._sources.materials())
        exported = await self._exporter.export(results, about)
        await self._caches.export(results)
        return self._result(results, exported)

    async def _dockerfile(self) -> Dockerfile:
        name = self._options.dockerfile_path or "Dockerfile"
        step = self._progress.step(f"[internal] load build definition from {name}")
        with step.running():
            if self._options.HasField("dockerfile"):
                data = self._options.dockerfile
            elif name.startswith(("http://", "https://")):
                data = await self._sources.text(name, _DOCKERFILE_MAX)
            else:
                data = await self._read(name)
            self._text = data
            step.status("transferring dockerfile", len(data), len(data), completed=True)
            dockerfile = parser.parse(data, name)
            for directive in dockerfile.directives:
                if directive.name == "syntax":
                    text = f"{directive.value[:100]} is built in: syntax {SYNTAX_VERSION}\n"
                    step.log(text.encode())
            return dockerfile

    async def _read(self, name: str) -> bytes:
        """Read a small file of the main context."""
        tree = await self._sources.context("")
        entry = tree.resolve(os.fsencode(name))
        if not entry.is_file or entry.size > _DOCKERFILE_MAX:
            raise InvalidContext(
                f"{name} is not a file of at most {_DOCKERFILE_MAX} bytes",
                what="file",
                which=name,
                do="name the Dockerfile with -f",
            )
        return b"".join([data async for _, data in tree.contents.read([entry])])

    async def _platform(self, dockerfile: Dockerfile, platform: str) -> Result | None:
        plan = Plan(dockerfile, self._asked(platform))
        bases: dict[str, bytes] = {}
        while wanted := plan.missing():
            found = await asyncio.gather(*(self._base(source, platform) for source in wanted))
            for source, (base, data) in zip(wanted, found, strict=True):
                plan.provide(source, base)
                bases[repr(source)] = data
        stages = plan.stages()
        self._warn(plan)
        if self._options.check:
            return None
        epoch = (
            self._options.source_date_epoch if self._options.HasField("source_date_epoch") else None
        )
        if epoch is None and plan.source_date_epoch.isascii() and plan.source_date_epoch.isdigit():
            self._options.source_date_epoch = epoch = int(plan.source_date_epoch)
        building = Stages(
            self._machinery, self._sources, self._progress, self._options, self._build, stages
        )
        target = stages[-1]
        result = await building.run(target.index)
        lineage = _lineage(target, stages, building, bases)
        stack, squashed = result.stack, ""
        if self._options.squash:
            stack, squashed = await building.squashed(lineage.stages, stack)
        epoch_ns = None if epoch is None else epoch * 1_000_000_000
        data = configuration.make(
            lineage, stack, epoch_ns, has_cache=self._is_inline, squashed=squashed
        )
        pairs = [(stage, building.made(stage.index)) for stage in stages]
        return Result(
            target.platform,
            stack,
            data,
            pairs,
            epoch,
            building.cached(),
            lineage.stages,
        )

    def _asked(self, platform: str) -> Options:
        return Options(
            target=self._options.target,
            build_args=dict(self._options.build_args),
            platform=platform,
            build_platform=str(host()),
            contexts=frozenset(c.name for c in self._options.contexts if c.name),
            labels=dict(self._options.labels),
            ignore=_ignored(self._options.ignored),
            all_stages=self._options.check,
        )

    async def _base(
        self, source: ImageSource | ContextSource, platform: str
    ) -> tuple[BaseImage, bytes]:
        """Return what evaluation must know of a base, and its configuration."""
        if isinstance(source, ContextSource):
            image = self._sources.image_of_context(source.name)
            if image is None:
                return BaseImage(image_pb2.ImageConfig()), b""
            source = ImageSource(image)
        try:
            found = await self._sources.image(source.reference, source.platform or platform)
        except ScowError:
            if not self._options.check:
                raise
            # What can be checked without the image is.
            return BaseImage(image_pb2.ImageConfig(), is_known=False), b""
        about = found.image.platform
        parts = (about.os, about.architecture, about.variant)
        base = BaseImage(
            found.image.config, found.image.author, platform="/".join(filter(None, parts))
        )
        return base, found.configuration

    def _warn(self, plan: Plan) -> None:
        for finding in plan.findings():
            warning = pb.Warning(
                rule=finding.rule,
                message=finding.message,
                detail=finding.description,
                url=finding.url,
                file=finding.file,
                line=finding.position.line,
            )
            self._progress.warn(warning)

    def _result(self, results: Sequence[Result], exported: Exported) -> pb.BuildResult:
        about = {"buildx.build.ref": self._build}
        if exported.images:
            about["containerimage.config.digest"] = exported.images[0].id
            about["containerimage.digest"] = exported.digest
            about["image.name"] = ",".join(self._options.tags)
        images = [
            pb.BuiltImage(
                platform=platform_of(result.platform),
                image_id=image.id,
                digest=image.manifest_digest,
            )
            for result, image in zip(results, exported.images, strict=bool(exported.images))
        ]
        return pb.BuildResult(
            build_id=self._build,
            images=images,
            references=self._options.tags,
            digest=exported.digest,
            metadata=json.dumps({key: text for key, text in about.items() if text}),
        )


def _lineage(
    target: BuildStage, stages: tuple[BuildStage, ...], building: Stages, bases: dict[str, bytes]
) -> configuration.Lineage:
    by_index = {stage.index: stage for stage in stages}
    found = [target]
    while isinstance(found[0].base, StageSource):
        found.insert(0, by_index[found[0].base.index])
    pairs = tuple((stage, building.made(stage.index)) for stage in found)
    base = bases.get(repr(found[0].base), b"")
    files = building.directories.get(found[0].index)
    if files is not None and files.layer is not None:
        base = configuration.of_files(files)
    return configuration.Lineage(base, pairs)


def _ignored(lines: Sequence[str]) -> Ignore:
    """Return the rules of an ignore file; what is wrong with them is told by who lists the files."""
    try:
        return Ignore.parse("\n".join(lines).encode())
    except InvalidIgnoreError:
        return Ignore()


def _platform_text(platform: object) -> str:
    parts = (getattr(platform, name) for name in ("os", "architecture", "variant"))
    text = "/".join(part for part in parts if part)
    try:
        return str(parse(text))
    except ValueError as error:
        raise InvalidArgument(
            f"platform {text}: {error}", what="platform", which=text, do="write linux/arm64"
        ) from None
