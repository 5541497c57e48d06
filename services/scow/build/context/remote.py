"""What one build gets from elsewhere: URLs, git repositories, archives; each once, and kept until the build ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from scow.build.attestation.provenance import Material, without_credentials
from scow.build.context import archive, git
from scow.build.context.download import Download, download
from scow.build.context.files import Entry, FileTree, tree_of_data
from scow.build.context.git import GitUrl
from scow.build.frontend.transfers import is_git
from scow.build.policy import SourcePolicy
from scow.contract.errors import InvalidContext, LimitExceeded
from scow.kernel.trees import remove_tree

ARCHIVE_MAX = 16 << 30
_DOCKERFILE_MAX = 1 << 20
_HEAD = 512
_FILE_MODE = stat.S_IFREG | 0o600

_T = TypeVar("_T")


def prepare(base: Path) -> Path:
    """Return the folder for what builds fetch, empty: what a killed service left there is gone."""
    folder = base / "scratch"
    remove_tree(folder)
    folder.mkdir(mode=0o700)
    return folder


class Remotes:
    """What one build gets from elsewhere.

    Args:
        folder: Where it is kept.
        policy: What may be got.

    Attributes:
        materials: What was got, for provenance.
    """

    def __init__(self, folder: Path, policy: SourcePolicy) -> None:
        self._folder = str(folder)
        self._policy = policy
        self._got: dict[Hashable, asyncio.Task[Any]] = {}
        self._opened = contextlib.ExitStack()
        self.materials: list[Material] = []

    async def close(self) -> None:
        """End what is under way, and let go of all."""
        for task in self._got.values():
            task.cancel()
        await asyncio.gather(*self._got.values(), return_exceptions=True)
        self._opened.close()

    async def _once(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        if key not in self._got:
            self._got[key] = asyncio.ensure_future(make())
        found: _T = await asyncio.shield(self._got[key])
        return found

    async def file(self, url: str, checksum: str = "") -> Download:
        """Fetch a file.

        Raises:
            ScowError: As of `download.download`; SourceDenied where the policy does not allow it.
        """

        async def fetch() -> Download:
            def check(each: str) -> None:
                self._policy.check_url(each, checksum=checksum)

            found = await download(url, self._folder, checksum=checksum, check=check)
            self._opened.callback(found.contents.close)
            self.materials.append(Material(url, found.digest))
            return found

        return await self._once(("file", url, checksum), fetch)

    async def file_tree(self, url: str, checksum: str = "", *, default_name: str = "") -> FileTree:
        """Fetch a file, as a tree that has it alone, with the mode 0600.

        Args:
            url: Of it.
            checksum: What it must have.
            default_name: Its name where the URL has none.

        Raises:
            InvalidContext: The URL has no name for the file; others as of `file`.
        """
        found = await self.file(url, checksum)
        name = found.name or default_name
        if not name:
            shown = without_credentials(url)[:200]
            raise InvalidContext(
                f"the URL {shown!r} has no name for the file",
                what="URL",
                which=shown,
                do="end the URL in a name, or the destination without a slash",
            )
        entry = Entry(
            os.fsencode(name),
            _FILE_MODE,
            size=found.size,
            mtime_ns=found.mtime_ns,
            digest=bytes.fromhex(found.digest.partition(":")[2]),
        )
        return FileTree([entry], found.contents)

    async def repository(
        self, url: str, *, keep_git_dir: bool = False, checksum: str = ""
    ) -> FileTree:
        """Fetch a git repository.

        Raises:
            ScowError: As of `git.fetch`; SourceDenied where the policy does not allow it.
        """

        async def fetch() -> FileTree:
            parsed = GitUrl.parse(url)
            self._policy.check_git(url, checksum=checksum or parsed.checksum)
            if checksum:
                parsed = GitUrl(parsed.remote, parsed.ref, parsed.folder, checksum)
            found = await git.fetch(
                parsed, self._folder, keep_git_dir=keep_git_dir, check=self._policy.check_git
            )
            self._opened.callback(found.contents.close)
            self.materials.append(Material(url, f"sha1:{found.commit}"))
            return found.tree

        return await self._once(("git", url, keep_git_dir, checksum), fetch)

    async def context(self, url: str) -> FileTree:
        """Fetch a build context: a git repository, an archive, or a Dockerfile alone."""
        if is_git(url):
            return await self.repository(url)
        found = await self.file(url)
        return await self._tree(found.contents.descriptor, found.size, without_credentials(url))

    async def received(self, chunks: AsyncIterator[bytes], name: str) -> FileTree:
        """Return the context that a client sends: an archive, or a Dockerfile alone."""
        descriptor, size = await self._written(chunks, name)
        return await self._tree(descriptor, size, name)

    async def _tree(self, descriptor: int, size: int, name: str) -> FileTree:
        if not archive.is_archive(os.pread(descriptor, _HEAD, 0)):
            if size > _DOCKERFILE_MAX:
                raise InvalidContext(
                    f"{name} is neither an archive nor a Dockerfile",
                    what="context",
                    which=name,
                    do="give a tar, plain or compressed",
                )
            return tree_of_data([(b"Dockerfile", os.pread(descriptor, size, 0))], 0)
        return await self._unpacked(descriptor, name)

    async def unpacked(self, tree: FileTree, entry: Entry) -> FileTree | None:
        """Return the tree of a file that is an archive, None of other files.

        Raises:
            InvalidContext, LimitExceeded: See `archive.unpack`.
        """
        head = b""
        async with contextlib.aclosing(_pieces(tree, entry)) as pieces:
            async for data in pieces:
                head += data
                if len(head) >= _HEAD:
                    break
        if not archive.is_archive(head):
            return None
        name = os.fsdecode(entry.path)

        async def unpack() -> FileTree:
            descriptor, _ = await self._written(_pieces(tree, entry), name)
            return await self._unpacked(descriptor, name)

        return await self._once(("archive", entry.digest or id(entry)), unpack)

    async def _unpacked(self, descriptor: int, name: str) -> FileTree:
        with open(os.dup(descriptor), "rb", buffering=0) as file:
            file.seek(0)
            tree, contents = await asyncio.to_thread(
                archive.unpack, io.BufferedReader(file), name, self._folder
            )
        self._opened.callback(contents.close)
        return tree

    async def _written(self, chunks: AsyncIterator[bytes], name: str) -> tuple[int, int]:
        """Write an archive down; return its descriptor and size."""
        descriptor = os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._opened.callback(os.close, descriptor)
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > ARCHIVE_MAX:
                raise LimitExceeded(
                    f"{name} has more than {ARCHIVE_MAX} bytes",
                    what="archive",
                    which=name,
                    do="leave out what is not needed",
                )
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        return descriptor, size


async def _pieces(tree: FileTree, entry: Entry) -> AsyncGenerator[bytes, None]:
    async for _, data in tree.contents.read([entry]):
        yield data
