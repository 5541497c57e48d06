"""Where the steps of one build get files from: contexts, images, stages. Each is got once."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1 import image_pb2, layer_pb2
from scow.api.types.v1.types_pb2 import Platform
from scow.build.attestation.provenance import Material, image_uri, without_credentials
from scow.build.cache.imports import Imports
from scow.build.context.directory import Directories, Packs
from scow.build.context.files import FileTree
from scow.build.context.remote import Remotes
from scow.build.context.session import Session
from scow.build.context.stack import tree_of
from scow.build.export.outputs import domain_of
from scow.build.frontend.steps import (
    ContextSource,
    CopyStep,
    ImageSource,
    ScratchSource,
    Source,
    StageSource,
)
from scow.build.graph import add, copy
from scow.build.graph.copy import Selection
from scow.build.graph.keys import Stack
from scow.build.history.progress import Progress, Step
from scow.build.peers.images import Images
from scow.build.peers.layers import Layers
from scow.build.policy import SourcePolicy
from scow.build.store import BuildStore
from scow.contract.errors import ImageNotFound, InvalidContext, PlatformNotFound
from scow.core.actor import current_actor
from scow.core.times import now_ns
from scow.words import ignore

StageStack = Callable[[int], Awaitable[Stack]]


class Sources:
    """The sources of one build.

    Args:
        layers: Who keeps layers.
        images: Who fetches images.
        directories: What clients sent of their directories.
        rows: The tables.
        session: The conversation with the client.
        progress: Who is told.
        options: Of the build.
        remotes: Fetches what is elsewhere.
        policy: What the build may be made from.
        imports: Results that other engines have.
    """

    def __init__(
        self,
        layers: Layers,
        images: Images,
        directories: Directories,
        rows: BuildStore,
        session: Session,
        progress: Progress,
        options: pb.BuildOptions,
        remotes: Remotes,
        policy: SourcePolicy,
        imports: Imports,
    ) -> None:
        self._layers = layers
        self._images = images
        self._directories = directories
        self._rows = rows
        self.session = session
        self._progress = progress
        self._options = options
        self._remotes = remotes
        self._policy = policy
        self.imports = imports
        self._contexts = {context.name: context for context in options.contexts}
        self._got: dict[str, asyncio.Task[FileTree]] = {}
        self._found: dict[tuple[str, str], asyncio.Task[layer_pb2.GetStackResponse]] = {}
        self.ignore: tuple[str, ...] = ()
        self.ignore_files: tuple[str, ...] = (".dockerignore",)
        # Given back when the build ends.
        self._opened = contextlib.ExitStack()

    async def close(self) -> None:
        """End what is under way, and give all back."""
        tasks = [*self._got.values(), *self._found.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._remotes.close()
        self._opened.close()

    def hold(self, what: contextlib.AbstractContextManager[None]) -> None:
        """Enter a context that is left when the build ends."""
        self._opened.enter_context(what)

    async def image(self, reference: str, platform: str) -> layer_pb2.GetStackResponse:
        """Return an image with its layers: the one that is here, or else, or with `pull`, that of its registry.

        Raises:
            ScowError: What the image service says.
        """
        self._policy.check_image(reference)
        key = (reference, platform)
        if key not in self._found:
            self._found[key] = asyncio.create_task(self._image(reference, platform))
        return await asyncio.shield(self._found[key])

    def materials(self) -> list[Material]:
        """Return what the build was made from, as far as it has a digest."""
        found = list(self._remotes.materials)
        for (reference, platform), task in self._found.items():
            if task.done() and not task.cancelled() and task.exception() is None:
                digest = task.result().image.manifest_digest
                found.append(Material(image_uri(reference, digest, platform), digest))
        return found

    def image_of_context(self, name: str) -> str | None:
        """Return the image that a named context is, None where it is something else."""
        context = self._contexts.get(name)
        if context is None or context.WhichOneof("source") != "image":
            return None
        return context.image

    def is_directory(self, source: Source) -> bool:
        """Tell whether a source is a context that is files, and no image."""
        return isinstance(source, ContextSource) and self.image_of_context(source.name) is None

    async def _image(self, reference: str, platform: str) -> layer_pb2.GetStackResponse:
        wanted = platform_of(platform)
        step = self._progress.step(f"[internal] load metadata for {reference}")
        with step.running():
            if not self._options.pull:
                with contextlib.suppress(ImageNotFound, PlatformNotFound):
                    return await self._layers.stack(reference, wanted)
            await self._pull(reference, wanted, step)
            return await self._layers.stack(reference, wanted)

    async def _pull(self, reference: str, platform: Platform | None, step: Step) -> None:
        auth = await self.session.credentials(domain_of(reference))
        request = image_pb2.PullRequest(reference=reference, platform=platform, auth=auth)
        async for message in self._images.pull(request):
            if message.WhichOneof("message") == "layer":
                layer = message.layer
                done = layer.phase in (
                    image_pb2.LayerProgress.PHASE_DONE,
                    image_pb2.LayerProgress.PHASE_EXISTS,
                )
                step.status(layer.digest, layer.current, layer.total, completed=done)

    async def tree(
        self, source: Source, paths: Sequence[str], stage: StageStack, platform: str
    ) -> FileTree:
        """Return the tree of a source.

        Args:
            source: What it is.
            paths: What is wanted of it.
            stage: Gives the stack of a stage.
            platform: Of an image, unless the source says so itself.
        """
        if isinstance(source, ContextSource) and self.is_directory(source):
            return await self.context(source.name)
        return await tree_of(self._layers, await self.stack(source, stage, platform), paths)

    async def select(self, step: CopyStep, tree: FileTree, documents: FileTree) -> Selection:
        """Find what a step copies; what ADD names elsewhere is fetched.

        Raises:
            ScowError: Something is not there, or not allowed.
        """
        if step.is_add:
            return await add.select(step, tree, documents, self._remotes)
        return copy.select(step, tree, documents)

    async def stack(self, source: Source, stage: StageStack, platform: str) -> Stack:
        """Return the layers of a stage or image."""
        if isinstance(source, StageSource):
            return await stage(source.index)
        if isinstance(source, ScratchSource):
            return ()
        if isinstance(source, ContextSource):
            image = self.image_of_context(source.name)
            assert image is not None  # `Stages` copies the files of others
            source = ImageSource(image)
        return tuple((await self.image(source.reference, source.platform or platform)).layers)

    async def context(self, name: str) -> FileTree:
        """Return the files of a context.

        Raises:
            InvalidContext: There is none with the name, or it cannot be had.
        """
        if name not in self._got:
            self._got[name] = asyncio.create_task(self._context(name))
        return await asyncio.shield(self._got[name])

    async def _context(self, name: str) -> FileTree:
        context = self._contexts.get(name)
        if context is None:
            raise InvalidContext(
                f"the build has no context {name!r}",
                what="context",
                which=name,
                do="give it with --build-context" if name else "give the build a directory",
            )
        step = self._progress.step(f"[internal] load build context{f' {name}' if name else ''}")
        with step.running():
            kind = context.WhichOneof("source")
            if kind == "directory":
                return await self._directory(context, step)
            if kind == "url":
                return await self._filtered(await self._remotes.context(context.url), context)
            if kind == "archive":
                tree = await self._remotes.received(self._archive(context), "the context")
                return await self._filtered(tree, context)
            raise InvalidContext(
                "this kind of context is not supported",
                what="context",
                which=name,
                do="use a directory",
            )

    async def text(self, url: str, largest: int) -> bytes:
        """Return a small file of a URL.

        Raises:
            ScowError: It cannot be had, or is larger.
        """
        found = await self._remotes.file(url)
        if found.size > largest:
            shown = without_credentials(url)[:200]
            raise InvalidContext(
                f"{shown} has more than {largest} bytes",
                what="file",
                which=shown,
                do="name a Dockerfile",
            )
        return os.pread(found.contents.descriptor, found.size, 0)

    async def _archive(self, context: pb.BuildContext) -> AsyncIterator[bytes]:
        """Give the archive that the client sends."""
        key = f"archive/{context.name}"
        self.session.expect(key)
        try:
            want = pb.BuildResponse.WantArchive(context=context.name)
            await self.session.send(pb.BuildResponse(want_archive=want))
            while True:
                request = await self.session.receive(key)
                yield request.archive.chunk
                if request.archive.last:
                    return
        finally:
            self.session.done(key)

    async def _filtered(self, tree: FileTree, context: pb.BuildContext) -> FileTree:
        """Leave out what the tree's own ignore file says; the Dockerfile stays in any case."""
        names = self.ignore_files if not context.name else (".dockerignore",)
        entry = next(filter(None, (tree.follow(os.fsencode(name)) for name in names)), None)
        if entry is None or not entry.is_file or entry.size > ignore.SIZE_MAX:
            return tree
        data = b"".join([piece async for _, piece in tree.contents.read([entry])])
        try:
            rules = ignore.Ignore.parse(data)
        except ignore.InvalidIgnoreError as error:
            raise InvalidContext(
                f"the patterns of what is left out cannot be read: {error}",
                what="file",
                which=".dockerignore",
                do="mend the line",
            ) from None
        return tree.without(rules, keep=os.fsencode(self._options.dockerfile_path or "Dockerfile"))

    async def _directory(self, context: pb.BuildContext, step: Step) -> FileTree:
        want = pb.BuildResponse.WantListing(
            context=context.name,
            ignore=self.ignore if not context.name else (),
            ignore_files=self.ignore_files if not context.name else (".dockerignore",),
        )
        identity = f"{current_actor.get()}\n{context.directory}"
        tree, transfer = await self._directories.receive(self.session, want, identity)
        assert isinstance(tree.contents, Packs)
        self._opened.callback(tree.contents.close)
        with self._rows.transaction() as tx:
            self._rows.put_context(tx, transfer.number, now_ns(), transfer.size)
        step.status("transferring context", transfer.sent, transfer.sent, completed=True)
        for skipped in transfer.skipped:
            self._progress.warn(pb.Warning(message=skipped, vertex=step.vertex.id))
        return tree


def platform_of(text: str) -> Platform | None:
    """Return a platform, None for an empty text."""
    if not text:
        return None
    os, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return Platform(os=os, architecture=architecture, variant=variant)
