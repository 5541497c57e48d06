"""Content that is on its way: `staging/<random>/` under the service's folder, until it is whole and renamed.

Whatever is there without a claim of this process was left by one that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from scow.contract.errors import Aborted
from scow.core.disk import writing
from scow.core.tasks import Background
from scow.kernel import syscalls, tree_copy
from scow.kernel.tree_copy import Copied
from scow.kernel.trees import remove_tree
from scow.volume.directories import CONTENT, Directories

T = TypeVar("T")
GoOn = Callable[[], None]

# What a place has: the content, and what its making needs.
TREE = CONTENT
# Copies at once; they are bound by the disk, and take turns at the interpreter.
_THREADS = 2
# How often a tree is copied in which directories are moved meanwhile.
_ATTEMPTS = 4
# So many files are synced one by one: the file system may have much of others' to write, for which syncfs(2) waits.
# A great many take longer that way.
_FEW = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _GivenUpError(Exception):
    """Raised in a thread whose caller has gone."""


class Staging:
    """The places where content is made.

    Args:
        base: The service's folder.
        directories: Where what is thrown away goes.
    """

    def __init__(self, base: Path, directories: Directories) -> None:
        self._directories = directories
        self._folder = base / "staging"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._claimed: set[str] = set()
        self._background = Background()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="content")

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[Path]:
        """Give an empty folder for the length of the block; what is left in it then is deleted."""
        name = os.urandom(8).hex()
        folder = self._folder / name
        with writing(self._folder):
            folder.mkdir(mode=0o700)
        self._claimed.add(name)
        try:
            yield folder
        finally:
            self._claimed.discard(name)
            self._directories.put_away(folder)
            # Also what others threw away while this was read.
            self._background.start(asyncio.to_thread(self._directories.empty_trash))

    async def run(self, work: Callable[[GoOn], T]) -> T:
        """Run in a thread; when the caller goes away, `go_on`, which the work gets, raises, and its end is awaited."""
        stop = threading.Event()

        def go_on() -> None:
            if stop.is_set():
                raise _GivenUpError

        future = asyncio.get_running_loop().run_in_executor(self._threads, work, go_on)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # it has been looked at
            raise

    async def copy(self, source: Path, place: Path) -> Copied:
        """Copy a tree to `place/tree`.

        Raises:
            DiskFull: No space is left.
            Aborted: Directories are moved in it all the time.
        """
        for _ in range(_ATTEMPTS):
            try:
                with (
                    writing(place),
                    _opened(source) as read,
                    self._directories.reading(read),
                ):
                    return await self.run(lambda go_on: _copy(read, place, go_on))
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
                await asyncio.to_thread(remove_tree, place / TREE)
        raise Aborted(
            f"{source} changes while it is copied",
            what="folder",
            which=str(source),
            do="freeze the containers that use it meanwhile, or stop them",
        )

    async def sync(self, place: Path) -> None:
        """Let all content reach the disk: what is on record must be there after a power cut."""
        with writing(place):
            await self.run(lambda _: _sync(place))

    def remove_leftovers(self) -> list[str]:
        """Take what was left by a process that was killed out of sight; return the names."""
        left = [name for name in os.listdir(self._folder) if name not in self._claimed]
        for name in left:
            self._directories.put_away(self._folder / name)
        return left

    async def close(self) -> None:
        """Let the threads end."""
        await self._background.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _copy(read: int, place: Path, go_on: GoOn) -> Copied:
    target = place / TREE
    target.mkdir(mode=0o700)
    with _opened(target) as write, _opened(place) as scratch:
        return tree_copy.copy_tree(read, write, scratch, go_on)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(place: Path) -> None:
    few = files_of(place, _FEW)
    if few is None:
        with _opened(place) as descriptor:
            syscalls.syncfs(descriptor)
        return
    for path in few:
        descriptor = os.open(path, _READ)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def files_of(folder: Path, most: int) -> list[str] | None:
    """Return a folder, the folders and regular files below it; None where there are more, or too deep ones."""
    found: list[str] = []

    def fail(error: OSError) -> None:
        raise error

    try:
        for top, _, names in os.walk(folder, onerror=fail):
            paths = (os.path.join(top, name) for name in names)
            found += (path for path in paths if stat.S_ISREG(os.lstat(path).st_mode))
            found.append(top)
            if len(found) > most:
                return None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return None
    return found
