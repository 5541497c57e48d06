"""The stages of one build, as tasks that wait for each other; of the target's needs alone any begins."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.cache.records import Cache
from scow.build.context.files import FileTree, tree_of_data
from scow.build.export import squash
from scow.build.frontend.steps import (
    AnyStep,
    BuildStage,
    ContextSource,
    CopyStep,
    ImageSource,
    RunStep,
    Source,
    WorkdirStep,
)
from scow.build.graph import copy, layer_tar, limits, mounts, workdir
from scow.build.graph import run as runs
from scow.build.graph.flights import Flights, Listeners
from scow.build.graph.keys import Stack, key_of
from scow.build.graph.layer_tar import Item
from scow.build.graph.mounts import StepMounts
from scow.build.graph.run import Runner
from scow.build.graph.sources import Sources
from scow.build.history.progress import Progress, Step
from scow.build.peers.layers import Layers
from scow.build.store import Record
from scow.contract.errors import BuildFailed, Cancelled, ScowError
from scow.core.times import now_ns
from scow.words.dockerfile.syntax import Position, Span

Made = tuple[Layer | None, str]
Work = Callable[[Listeners], Awaitable[Made]]


@dataclass(frozen=True)
class Machinery:
    """What all builds share."""

    layers: Layers
    cache: Cache
    runner: Runner
    flights: Flights[Record]
    mounts: StepMounts


@dataclass(frozen=True)
class StageResult:
    """A stage that was built.

    Attributes:
        stack: Its layers.
        made: Of each step, its layer and when that was made.
    """

    stack: Stack
    made: tuple[Record, ...]


class Stages:
    """The stages of one build.

    Args:
        machinery: What all builds share.
        sources: Where files come from.
        progress: Who is told.
        options: Of the build.
        build: The build's id.
        stages: Those that the target needs, by number.
    """

    def __init__(
        self,
        machinery: Machinery,
        sources: Sources,
        progress: Progress,
        options: pb.BuildOptions,
        build: str,
        stages: Sequence[BuildStage],
    ) -> None:
        self._machinery = machinery
        self._sources = sources
        self._progress = progress
        self._options = options
        self._build = build
        self._stages = {stage.index: stage for stage in stages}
        self._tasks: dict[int, asyncio.Task[StageResult]] = {}
        self._steps: dict[tuple[int, int], Step] = {}
        self._last: dict[int, Step] = {}
        # Of stages that begin with the files of a context, their first layers.
        self.directories: dict[int, Record] = {}
        for stage in stages:
            self._announce(stage)

    def _announce(self, stage: BuildStage) -> None:
        """Make all steps known, so that they are numbered before any begins."""
        count = len(stage.steps) + 1
        name = f"{stage.name} " if stage.name else ""
        if len(self._stages) > 1 and not stage.name:
            name = f"stage-{stage.index} "
        inputs: list[Step] = []
        if isinstance(stage.base, ImageSource | ContextSource):
            of = stage.base
            shown = of.reference if isinstance(of, ImageSource) else of.name
            base = self._progress.step(f"[{name}1/{count}] FROM {shown}", stage=stage.name)
            self._steps[stage.index, -1] = base
            inputs = [base]
        for number, each in enumerate(stage.steps):
            step = self._progress.step(
                f"[{name}{number + 2}/{count}] {each.title}",
                inputs,
                stage=stage.name,
                lines=(each.span.start.line, each.span.end_line),
            )
            self._steps[stage.index, number] = step
            inputs = [step]
        if inputs:
            self._last[stage.index] = inputs[-1]

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def stack(self, index: int) -> Stack:
        """Return the layers of a stage when it is built."""
        return (await self.result(index)).stack

    async def result(self, index: int) -> StageResult:
        """Wait for a stage; one of those that `run` began."""
        return await asyncio.shield(self._tasks[index])

    def made(self, index: int) -> tuple[Record, ...]:
        """Return the results of a stage that was built."""
        return self._tasks[index].result().made

    async def squashed(
        self, lineage: Sequence[tuple[BuildStage, Sequence[Record]]], stack: Stack
    ) -> tuple[Stack, str]:
        """Return a stack in which one layer does what those do that were made, and a comment on it."""
        made = tuple(r.layer for _, records in lineage for r in records if r.layer is not None)
        base = stack[: len(stack) - len(made)]
        comment = f"merge {stack[-1].diff_id} to {base[-1].diff_id}" if base else ""
        comment = comment or f"create new from {stack[-1].diff_id}" if made else ""
        if len(made) < 2:
            return stack, comment
        step = self._progress.step("squashing layers", self._progress.steps[-1:])
        key = key_of("squash.1", stack, len(base))

        async def work(listeners: Listeners) -> Made:
            written = await self._machinery.layers.write(
                squash.squashed(self._machinery.layers, base, made), key
            )
            return written.layer, written.lease

        with step.running():
            record = await self._once(lineage[-1][0], key, "squashed layers", step, work)
        assert record.layer is not None
        return (*base, record.layer), comment

    def cached(self) -> frozenset[tuple[int, int]]:
        """Return the steps whose results were there already, each by the number of its stage and its own."""
        return frozenset(place for place, step in self._steps.items() if step.vertex.cached)

    async def run(self, target: int) -> StageResult:
        """Build the target: what it needs begins at once, each as soon as it can.

        Raises:
            ScowError: The first step that failed; all others have ended then.
        """
        for index in self._needed(target):
            self._tasks[index] = asyncio.create_task(self._run(self._stages[index]))
        try:
            done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            return self._tasks[target].result()
        finally:
            await self.close()

    def _needed(self, target: int) -> list[int]:
        found: list[int] = []
        ahead = [target]
        while ahead:
            index = ahead.pop()
            if index not in found:
                found.append(index)
                ahead += self._stages[index].needs
        return found

    async def _run(self, stage: BuildStage) -> StageResult:
        base = self._steps.get((stage.index, -1))
        if base is not None and not self._sources.is_directory(stage.base):
            with base.running():
                stack = await self._sources.stack(stage.base, self.stack, stage.platform)
        elif self._sources.is_directory(stage.base):
            stack = await self._directory(stage)
        else:
            stack = await self._sources.stack(stage.base, self.stack, stage.platform)
        made = []
        for number, step in enumerate(stage.steps):
            record = await self._step(stage, step, self._steps[stage.index, number], stack)
            made.append(record)
            if record.layer is not None:
                stack = (*stack, record.layer)
        return StageResult(stack, tuple(made))

    async def _directory(self, stage: BuildStage) -> Stack:
        """Return a stack of the files of a context that a stage begins with."""
        assert isinstance(stage.base, ContextSource)
        title = f"FROM {stage.base.name}"
        span = Span(self._options.dockerfile_path, Position(1), 1, title)
        step = CopyStep(span, title, stage.base, (".",), "/")
        told = self._steps[stage.index, -1]
        record = self.directories[stage.index] = await self._step(stage, step, told, ())
        return () if record.layer is None else (record.layer,)

    async def _step(self, stage: BuildStage, step: AnyStep, told: Step, stack: Stack) -> Record:
        with told.running():
            try:
                if isinstance(step, RunStep):
                    return await self._run_step(stage, step, told, stack)
                if isinstance(step, CopyStep):
                    return await self._copy(stage, step, told, stack)
                return await self._workdir(stage, step, told, stack)
            except BuildFailed:
                raise
            except ScowError as error:
                error.metadata.setdefault("line", str(step.span.start.line))
                error.metadata.setdefault("step", step.title[:200])
                raise

    async def _run_step(self, stage: BuildStage, step: RunStep, told: Step, stack: Stack) -> Record:
        async def tree(source: Source, paths: Sequence[str]) -> FileTree:
            return await self._sources.tree(source, paths, self.stack, stage.platform)

        self._machinery.runner.check(step, self._options)
        keyed = await mounts.keys(step, tree)
        key = runs.key(step, stack, self._options, keyed)

        async def work(listeners: Listeners) -> Made:
            ready = self._machinery.mounts.ready(step, self._sources.session, tree)
            async with ready as mounted:
                response = await self._machinery.runner.run(
                    step, stack, stage.platform, self._options, mounted, self._build, key, listeners
                )
            return (response.layer if response.HasField("layer") else None), response.lease

        try:
            return await self._once(stage, key, step.title, told, work)
        except BuildFailed as error:
            error.metadata.setdefault("line", str(step.span.start.line))
            raise

    async def _copy(self, stage: BuildStage, step: CopyStep, told: Step, stack: Stack) -> Record:
        documents = tree_of_data(
            [(os.fsencode(file.name), file.content.encode()) for file in step.files], self._now()
        )
        tree = documents
        if step.paths:
            tree = await self._sources.tree(step.source, step.paths, self.stack, stage.platform)
        selection = await self._sources.select(step, tree, documents)
        key = copy.key(step, stack, selection, self._options)

        async def work(listeners: Listeners) -> Made:
            items = await copy.items(self._machinery.layers, step, stack, selection, self._now())
            return await self._written(items, key)

        return await self._once(stage, key, step.title, told, work)

    async def _workdir(
        self, stage: BuildStage, step: WorkdirStep, told: Step, stack: Stack
    ) -> Record:
        key = workdir.key(step, stack)

        async def work(listeners: Listeners) -> Made:
            items = await workdir.items(self._machinery.layers, step, stack, self._now())
            return await self._written(items, key)

        return await self._once(stage, key, step.title, told, work)

    async def _written(self, items: Sequence[Item], key: str) -> Made:
        if not items:
            return None, ""
        latest = limits.latest_ns(self._options)
        if latest is not None:
            for item in items:
                item.entry.mtime_ns = min(item.entry.mtime_ns, latest)
        response = await self._machinery.layers.write(layer_tar.write(items), key)
        return response.layer, response.lease

    def _now(self) -> int:
        if self._options.HasField("source_date_epoch"):
            return self._options.source_date_epoch * 1_000_000_000
        return now_ns()

    async def _once(
        self, stage: BuildStage, key: str, title: str, told: Step, work: Work
    ) -> Record:
        """Return the result of a step: of the cache, of a build that does the same now, or made."""
        cache = self._machinery.cache
        # Until the image is made of the layer, and not for this step alone: or else a prune takes it away.
        self._sources.hold(cache.using(key))
        if not self._ignores_cache(stage) and (known := cache.find(key)) is not None:
            told.cached()
            return known

        if not self._ignores_cache(stage):
            imported = await self._imported(key, told)
            if imported is not None:
                told.cached()
                return imported

        async def make(listeners: Listeners) -> Record:
            layer, lease = await work(listeners)
            return await cache.put(key, layer, lease, "regular", title)

        return await self._machinery.flights.join(key, told, make)

    async def _imported(self, key: str, told: Step) -> Record | None:
        """Return the result that a cache of another engine has; one that cannot be had is made here."""
        found = self._sources.imports.find(key)
        if found is None:
            return None
        cache = self._machinery.cache
        self._sources.hold(cache.using(found.key))

        async def fetch(listeners: Listeners) -> Record:
            return await cache.keep(await found.record())

        try:
            record = cache.find(found.key)
            record = record or await self._machinery.flights.join(found.key, told, fetch)
        except Cancelled:
            raise
        except ScowError as error:
            self._sources.imports.warn(f"a result of the cache cannot be had: {error}")
            return None
        return replace(record, key=key)

    def _ignores_cache(self, stage: BuildStage) -> bool:
        return self._options.no_cache or (
            bool(stage.name) and stage.name in self._options.no_cache_stages
        )
