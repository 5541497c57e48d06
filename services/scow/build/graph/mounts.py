"""What RUN mounts: files of contexts and stages, caches, secrets, SSH agents, tmpfs.

Files are copied into a folder of the step's own, read-only or not: nothing that a program does to them is seen by
others. Secrets are files in the run directory, never in an image, a key or the history.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from scow.api.container.v1.container_pb2 import MountSpec
from scow.build.cache.mounts import CacheMounts
from scow.build.context.agent import served
from scow.build.context.extract import extract
from scow.build.context.files import FileTree, digest_of, tree_of_data
from scow.build.context.session import Session
from scow.build.frontend.steps import RunStep, ScratchSource, Source, StepMount
from scow.build.graph.run import Mounted
from scow.contract.errors import InvalidArgument, InvalidMount
from scow.kernel.trees import remove_tree

Tree = Callable[[Source, Sequence[str]], Awaitable[FileTree]]
_SECRET_MODE = 0o400
_AGENT_MODE = 0o600
_CACHE_MODE = 0o755
_AGENT = "/run/buildkit/ssh_agent."
_SCRIPTS = "/dev/pipes"


async def keys(step: RunStep, tree: Tree) -> tuple[object, ...]:
    """Return what of a step's mounts counts in its key: files by content, but no caches' contents, no secrets.

    Args:
        step: The step.
        tree: Gives the tree of a source.
    """
    found: list[object] = []
    for each in step.mounts:
        mount = each.mount
        if mount.type == "bind":
            found.append(["bind", each.target, mount.read_only, await _digest(each, tree)])
        elif mount.type == "cache":
            digest = await _digest(each, tree) if _has_content(each) else ""
            found.append(["cache", each.target, mount.id, digest])
        elif mount.type == "tmpfs":
            found.append(["tmpfs", each.target, mount.size])
        else:
            found.append([mount.type, each.target, mount.id, mount.env])
    return tuple(found)


def _has_content(each: StepMount) -> bool:
    return each.source is not None and not isinstance(each.source, ScratchSource)


async def _digest(each: StepMount, tree: Tree) -> str:
    if not _has_content(each):
        return ""
    assert each.source is not None
    files = await tree(each.source, (each.mount.source,))
    top = files.resolve(os.fsencode(each.mount.source))
    entries = files.walk(top.path) if top.is_directory else [top]
    cut = len(top.path) + 1 if top.path and top.is_directory else 0
    return digest_of([(entry.path[cut:], entry) for entry in entries], files.identity)


class StepMounts:
    """Makes mounts of steps ready.

    Args:
        caches: Those that RUN mounts.
        work: A folder for what lasts as long as a step.
        run: A folder for secrets and sockets, in the run directory.
    """

    def __init__(self, caches: CacheMounts, work: Path, run: Path) -> None:
        self._caches = caches
        self._work = work
        self._run = run

    @contextlib.asynccontextmanager
    async def ready(self, step: RunStep, session: Session, tree: Tree) -> AsyncIterator[Mounted]:
        """Make the mounts of a step for the length of the block.

        Raises:
            InvalidMount: A secret or agent that is required and that the client does not have.
            ScowError: What is mounted cannot be had.
        """
        name = secrets.token_hex(8)
        work, run = self._work / name, self._run / name
        async with contextlib.AsyncExitStack() as stack:
            for folder in (work, run):
                folder.mkdir(parents=True, mode=0o711)
                stack.callback(remove_tree, folder)
            making = _Making(self._caches, session, tree, work, run, stack)
            for number, each in enumerate(step.mounts):
                await making.add(number, each)
            await making.scripts(step)
            yield Mounted(
                tuple(making.mounts),
                tuple(making.env),
                tuple(making.points),
                making.env_files,
            )


class _Making:
    """The mounts of one step, one after the other."""

    def __init__(
        self,
        caches: CacheMounts,
        session: Session,
        tree: Tree,
        work: Path,
        run: Path,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._caches = caches
        self._session = session
        self._tree = tree
        self._work = work
        self._run = run
        self._stack = stack
        self.mounts: list[MountSpec] = []
        self.env: list[str] = []
        self.env_files: dict[str, str] = {}
        self.points: list[str] = []
        self._agents = 0

    async def add(self, number: int, each: StepMount) -> None:
        """Make one ready."""
        make = {
            "bind": self._bind,
            "cache": self._cache,
            "tmpfs": self._tmpfs,
            "secret": self._secret,
            "ssh": self._agent,
        }[each.mount.type]
        await make(number, each)

    def _mount(self, source: str, target: str, *, read_only: bool) -> None:
        self.points.append(target)
        self.mounts.append(
            MountSpec(type="bind", source=source, target=target, read_only=read_only)
        )

    async def _bind(self, number: int, each: StepMount) -> None:
        assert each.source is not None
        if isinstance(each.source, ScratchSource):
            raise InvalidMount(
                f"nothing to mount at {each.target}",
                what="mount",
                which=each.target,
                do="name a stage, an image or a context with from=",
            )
        source = await self._copied(number, each)
        self._mount(source, each.target, read_only=each.mount.read_only)

    async def _copied(self, number: int, each: StepMount) -> str:
        assert each.source is not None
        tree = await self._tree(each.source, (each.mount.source,))
        return await extract(tree, os.fsencode(each.mount.source), str(self._work / str(number)))

    async def _cache(self, number: int, each: StepMount) -> None:
        mount = each.mount
        if not _has_content(each) and mount.source not in ("", "."):
            raise InvalidMount(
                f"the cache {mount.id} with a source and without from",
                what="mount",
                which=mount.id,
                do="leave source out: a cache is mounted as a whole",
            )
        using = self._caches.using(mount.id, mount.sharing)
        folder = await self._stack.enter_async_context(using)
        data = folder / "data"
        if not data.exists():
            made = self._work / f"cache-{number}"
            if _has_content(each):
                made = Path(await self._copied(number, each))
            else:
                made.mkdir(mode=0o700)
            made.chmod(_CACHE_MODE if mount.mode is None else mount.mode)
            os.chown(made, mount.uid or 0, mount.gid or 0)
            if not data.exists():  # or else a step that shares it was quicker
                made.rename(data)
        self._mount(str(data), each.target, read_only=mount.read_only)

    async def _tmpfs(self, number: int, each: StepMount) -> None:
        self.points.append(each.target)
        self.mounts.append(MountSpec(type="tmpfs", target=each.target, tmpfs_size=each.mount.size))

    async def _secret(self, number: int, each: StepMount) -> None:
        mount = each.mount
        value = await self._session.secret(mount.id)
        if value is None:
            if mount.is_required:
                raise _missing("secret", mount.id)
            return
        path = self._run / f"secret-{number}"
        path.touch(mode=0o600)
        path.write_bytes(value)
        if mount.env is not None:
            _check_text(mount.id, value)
            self.env_files[mount.env] = str(path)
        if not each.target:
            return
        os.chown(path, mount.uid or 0, mount.gid or 0)
        path.chmod(_SECRET_MODE if mount.mode is None else mount.mode)
        self._mount(str(path), each.target, read_only=True)

    async def _agent(self, number: int, each: StepMount) -> None:
        mount = each.mount
        if mount.id not in self._session.agents:
            if mount.is_required:
                raise _missing("SSH agent", mount.id)
            return
        path = self._run / f"agent-{number}"
        mode = _AGENT_MODE if mount.mode is None else mount.mode
        owner = (mount.uid or 0, mount.gid or 0, mode)
        await self._stack.enter_async_context(served(self._session, mount.id, path, owner))
        target = each.target or f"{_AGENT}{self._agents}"
        if not self._agents:
            self.env.append(f"SSH_AUTH_SOCK={target}")
        self._agents += 1
        self._mount(str(path), target, read_only=False)

    async def scripts(self, step: RunStep) -> None:
        """Mount here-documents that are programs."""
        if not step.scripts:
            return
        files = [(os.fsencode(file.name), file.content.encode()) for file in step.scripts]
        tree = tree_of_data(files, 0)
        for entry in tree.walk(b""):
            entry.mode |= 0o111
        folder = await extract(tree, b"", str(self._work / "scripts"))
        self.mounts.append(MountSpec(type="bind", source=folder, target=_SCRIPTS, read_only=True))


def _missing(what: str, name: str) -> InvalidMount:
    return InvalidMount(
        f"the {what} {name} is required, and the client has none",
        what=what,
        which=name,
        do="give it with --secret or --ssh",
    )


def _check_text(name: str, value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise InvalidArgument(
            f"the secret {name} is not text",
            what="secret",
            which=name,
            do="mount it as a file instead of a variable",
        ) from None
