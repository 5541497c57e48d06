"""Git repositories as trees: "https://HOST/REPOSITORY.git#REF:FOLDER".

Nothing is checked out: a bare repository is fetched, objects are listed and their contents copied to a file without a
name. So no link, hook, filter or attribute of a stranger's repository ever acts on this machine. Only https, http, git
and ssh are spoken, redirections are not followed, and git reads no configuration but what is said here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urljoin, urlsplit, urlunsplit

from scow.build.context.archive import ENTRIES_MAX, SIZE_MAX, FileContents
from scow.build.context.files import PATH_MAX, Entry, FileTree
from scow.contract.errors import (
    DigestMismatch,
    FileNotFound,
    InvalidContext,
    LimitExceeded,
    SourceUnavailable,
)
from scow.core.tasks import completed

_PIECE = 1 << 18
_PACK_MAX = 8 << 30
# Bytes that git may print: of the names of files, and else; and of errors that are kept.
_LISTING_MAX = 256 << 20
_OUTPUT_MAX = 16 << 20
_SAID_MAX = 1 << 16
_SUBMODULES_MAX = 64
_DEPTH_MAX = 8
_STALL_SECONDS = 30
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{7,64}")
_SCP = re.compile(r"([A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+):(?!//)([^:].*)")
_REF = re.compile(r"[A-Za-z0-9_][^\s~^:?*\[\\\x00-\x20\x7f]*")
# Answers git with the credentials of its address, which are in the environment: others can read command lines.
_HELPER = '!f() { printf "username=%s\\npassword=%s\\n" "$SCOW_GIT_USER" "$SCOW_GIT_PASSWORD"; }; f'
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEMES = ("https", "http", "git", "ssh")
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "100",
    "http.lowSpeedTime": str(_STALL_SECONDS),
    "init.defaultBranch": "main",
    "protocol.ext.allow": "never",
    "protocol.file.allow": "never",
}
_MODES = {
    b"100644": stat.S_IFREG | 0o644,
    b"100664": stat.S_IFREG | 0o644,
    b"100755": stat.S_IFREG | 0o755,
    b"120000": stat.S_IFLNK | 0o777,
    b"040000": stat.S_IFDIR | 0o755,
}
_SUBMODULE = b"160000"


@dataclass(frozen=True)
class GitUrl:
    """A repository, and what of it is meant.

    Attributes:
        remote: Address for git.
        ref: Branch, tag or commit; empty is the one that the server names.
        folder: Path in the repository; empty is all of it.
        checksum: Commit, or its beginning, that it must be.
    """

    remote: str
    ref: str = ""
    folder: str = ""
    checksum: str = ""

    @classmethod
    def parse(cls, text: str, *, allow_files: bool = False) -> GitUrl:
        """Read "URL#REF:FOLDER" or "URL?ref=REF&subdir=FOLDER&checksum=COMMIT".

        Args:
            text: The address.
            allow_files: For tests: whether "file://" is one.

        Raises:
            InvalidContext: It is not one.
        """
        address, _, fragment = text.partition("#")
        if scp := _SCP.fullmatch(address):
            address = f"ssh://{scp[1]}/{scp[2]}"
        parts = urlsplit(address)
        is_file = allow_files and parts.scheme == "file"
        is_remote = parts.scheme in _SCHEMES and parts.hostname and not parts.netloc.startswith("-")
        if not is_file and not is_remote:
            raise _bad(text, "is not the address of a git repository")
        if _CONTROL.search(unquote(parts.netloc.rpartition("@")[0])):
            raise _bad(text, "has a user or password with control characters")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        ref, _, folder = fragment.partition(":")
        ref = ref or query.get("ref", "") or query.get("branch", "") or query.get("tag", "")
        folder = folder or query.get("subdir", "")
        names = [name for name in folder.split("/") if name not in ("", ".")]
        if ".." in names:
            raise _bad(text, "has a folder that leads out of the repository")
        if ref and (not _REF.fullmatch(ref) or ".." in ref):
            raise _bad(text, f"has the invalid reference {ref[:80]!r}")
        remote = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        return cls(remote, ref, "/".join(names), query.get("checksum", ""))

    @property
    def address(self) -> str:
        """The address without a password; ssh has a user."""
        parts = urlsplit(self.remote)
        if parts.scheme != "ssh" or parts.username is None:
            return self.shown
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, f"{parts.username}@{host}", parts.path, "", ""))

    @property
    def shown(self) -> str:
        """The address without a user or password."""
        parts = urlsplit(self.remote)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True)
class Checkout:
    """What was fetched: its files, their contents, which are to be closed, and the commit."""

    tree: FileTree
    contents: FileContents
    commit: str


def _accept(url: str) -> None:
    pass


def _bad(text: str, why: str) -> InvalidContext:
    shown = re.sub(r"(^|://)\S*@", r"\1", text.partition("?")[0])[:200]
    return InvalidContext(
        f"{shown} {why}",
        what="git repository",
        which=shown,
        do="write https://HOST/REPOSITORY.git#REF:FOLDER",
    )


async def fetch(
    url: GitUrl,
    folder: str,
    *,
    keep_git_dir: bool = False,
    submodules: bool = True,
    check: Callable[[str], None] = _accept,
    allow_files: bool = False,
) -> Checkout:
    """Fetch a repository.

    Args:
        url: Of it.
        folder: Where it may be kept while it is read.
        keep_git_dir: Whether `.git` is part of the tree.
        submodules: Whether what they name is fetched too.
        check: Called with the address of each submodule before it is fetched; raises for those that may not be.
        allow_files: For tests: whether "file://" is an address.

    Raises:
        InvalidContext: The repository has what no tree can have.
        SourceUnavailable: It cannot be reached, or has no such reference.
        FileNotFound: It has no such folder.
        DigestMismatch: It is not the commit of `url.checksum`.
        LimitExceeded: It is too large.
    """
    with tempfile.TemporaryDirectory(prefix="git-", dir=folder) as scratch:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        contents = FileContents(descriptor)
        try:
            collecting = _Collecting(Path(scratch), descriptor, check, allow_files)
            commit = await collecting.repository(url, b"", 0, submodules=submodules)
            if keep_git_dir:
                await collecting.git_dir(url)
            return Checkout(FileTree(collecting.entries, contents), contents, commit)
        except BaseException:
            contents.close()
            raise


class _Collecting:
    """Collects the entries of a repository and its submodules."""

    def __init__(
        self, scratch: Path, descriptor: int, check: Callable[[str], None], files: bool
    ) -> None:
        self._scratch = scratch
        self._descriptor = descriptor
        self._check = check
        self._files = files
        self._offset = 0
        self._count = 0
        self.entries: list[Entry] = []

    async def repository(self, url: GitUrl, prefix: bytes, depth: int, *, submodules: bool) -> str:
        """Add a repository's files below a prefix; return the commit."""
        self._count += 1
        if self._count > _SUBMODULES_MAX or depth > _DEPTH_MAX:
            raise _too_large(url, f"{_SUBMODULES_MAX} submodules")
        git = _Git(self._scratch / str(self._count), url, self._files)
        await git.start()
        commit = await git.commit()
        if url.checksum and not (
            _PREFIX.fullmatch(url.checksum) and commit.startswith(url.checksum)
        ):
            raise DigestMismatch(
                f"{url.shown} is at the commit {commit}, not {url.checksum[:64]}",
                what="git repository",
                which=url.shown,
                do="see what has changed, and who changed it",
            )
        top = commit
        if url.folder:
            top = f"{commit}:{url.folder}"
            if (await git.run("cat-file", "-t", top, missing=True)).strip() != b"tree":
                raise FileNotFound(
                    f"{url.shown} has no folder {url.folder!r}",
                    what="folder",
                    which=url.folder,
                    do="see what the repository has at that reference",
                )
        links = await self._files_of(git, url, top, prefix)
        if submodules and links:
            await self._submodules(git, url, commit, prefix, links, depth)
        return commit

    async def _files_of(
        self, git: _Git, url: GitUrl, top: str, prefix: bytes
    ) -> dict[bytes, bytes]:
        """Add the files of a tree; return the submodules: their paths, and their commits."""
        listed = await git.run("ls-tree", "-r", "-t", "-z", "--full-tree", top, most=_LISTING_MAX)
        if listed.count(b"\0") > ENTRIES_MAX:
            raise _too_large(url, f"{ENTRIES_MAX} files")
        links: dict[bytes, bytes] = {}
        wanted: list[tuple[Entry, bytes]] = []
        for line in filter(None, listed.split(b"\0")):
            about, _, name = line.partition(b"\t")
            mode, _, sha = about.split(b" ", 2)
            path = _joined(prefix, name, url)
            if mode == _SUBMODULE:
                links[name] = sha
                entry = Entry(path, stat.S_IFDIR | 0o755)
            elif mode in _MODES:
                entry = Entry(path, _MODES[mode])
            else:
                raise _bad(url.shown, f"has a file of the unknown mode {mode[:10]!r}")
            self._add(entry, url)
            if not entry.is_directory:
                wanted.append((entry, sha))
        async with git.objects(wanted) as pieces:
            async for number, size, chunks in pieces:
                await self._store(wanted[number][0], size, chunks, url)
        return links

    def _add(self, entry: Entry, url: GitUrl) -> None:
        if len(self.entries) >= ENTRIES_MAX:
            raise _too_large(url, f"{ENTRIES_MAX} files")
        self.entries.append(entry)

    async def _store(
        self, entry: Entry, size: int, chunks: AsyncIterator[bytes], url: GitUrl
    ) -> None:
        if self._offset + size > SIZE_MAX:
            raise _too_large(url, f"{SIZE_MAX} bytes")
        if entry.is_link:
            if size > PATH_MAX:
                raise _bad(url.shown, "has a link that is too long")
            entry.link = b"".join([chunk async for chunk in chunks])
            return
        hashed = hashlib.sha256()
        entry.size, entry.place = size, (self._offset, 0)
        async for chunk in chunks:
            hashed.update(chunk)
            _write_all(self._descriptor, chunk)
        self._offset += size
        entry.digest = hashed.digest()

    async def _submodules(
        self,
        git: _Git,
        url: GitUrl,
        commit: str,
        prefix: bytes,
        links: dict[bytes, bytes],
        depth: int,
    ) -> None:
        found = await git.run(
            "config", "--blob", f"{commit}:.gitmodules", "--list", "-z", missing=True
        )
        modules: dict[bytes, dict[bytes, bytes]] = {}
        for line in filter(None, found.split(b"\0")):
            key, _, value = line.partition(b"\n")
            name, _, what = key.removeprefix(b"submodule.").rpartition(b".")
            modules.setdefault(name, {})[what] = value
        root = f"{url.folder}/".encode() if url.folder else b""
        for module in modules.values():
            path, given = module.get(b"path", b""), module.get(b"url", b"")
            inside = path.removeprefix(root) if path.startswith(root) else b""
            if inside not in links or not given:
                continue
            address = _relative(url.remote, os.fsdecode(given))
            target = GitUrl.parse(address, allow_files=self._files)
            self._check(target.remote)
            target = replace(target, ref=links[inside].decode(), folder="", checksum="")
            await self.repository(target, _joined(prefix, inside, url), depth + 1, submodules=True)

    async def git_dir(self, url: GitUrl) -> None:
        """Add the first repository as `.git`."""
        top = self._scratch / "1"
        self._add(Entry(b".git", stat.S_IFDIR | 0o755), url)
        for folder, names, files in os.walk(top):
            names.sort()
            for name in (*names, *sorted(files)):
                path = Path(folder) / name
                entry = Entry(b".git/" + os.fsencode(path.relative_to(top)), path.lstat().st_mode)
                if entry.is_file:
                    await completed(asyncio.to_thread(self._copy, path, entry, url))
                self._add(entry, url)

    def _copy(self, path: Path, entry: Entry, url: GitUrl) -> None:
        hashed = hashlib.sha256()
        entry.place = (self._offset, 0)
        with path.open("rb", buffering=0) as file:
            while data := file.read(_PIECE):
                if self._offset + len(data) > SIZE_MAX:
                    raise _too_large(url, f"{SIZE_MAX} bytes")
                hashed.update(data)
                _write_all(self._descriptor, data)
                self._offset += len(data)
                entry.size += len(data)
        entry.digest = hashed.digest()


def _too_large(url: GitUrl, limit: str) -> LimitExceeded:
    return LimitExceeded(
        f"{url.shown} has more than {limit}",
        what="git repository",
        which=url.shown,
        do="use a folder of it, or another way to get the files",
    )


def _joined(prefix: bytes, name: bytes, url: GitUrl) -> bytes:
    """Return a path of a repository below a prefix.

    Raises:
        InvalidContext: It is one that leads elsewhere.
    """
    parts = name.split(b"/")
    if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in parts):
        raise _bad(url.shown, f"has the impossible name {name[:200]!r}")
    path = prefix + b"/" + name if prefix else name
    if len(path) > PATH_MAX:
        raise _bad(url.shown, "has a name that is too long")
    return path


def _relative(remote: str, address: str) -> str:
    """Return the address of a submodule, which may be relative to that of its repository."""
    if not address.startswith(("./", "../")):
        return address
    parts = urlsplit(remote)
    path = urljoin(parts.path.rstrip("/") + "/", address)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


class _Git:
    """One bare repository."""

    def __init__(self, folder: Path, url: GitUrl, files: bool) -> None:
        self._folder = folder
        self._url = url
        settings = {**_SETTINGS, **({"protocol.file.allow": "always"} if files else {})}
        parts = urlsplit(url.remote)
        if parts.scheme in ("https", "http") and "@" in parts.netloc:
            host = parts.netloc.rpartition("@")[2]
            settings[f"credential.{parts.scheme}://{host}.helper"] = _HELPER
        self._settings = [
            word for key, value in settings.items() for word in ("-c", f"{key}={value}")
        ]
        ssh = "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oConnectTimeout=20"
        self._environment = {
            **{key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")},
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": "https:http:git:ssh" + ":file" * files,
            "GIT_ASKPASS": "/bin/false",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_SSH_COMMAND": f"{ssh} -oUserKnownHostsFile={folder}/known_hosts",
            "GIT_TERMINAL_PROMPT": "0",
            "SCOW_GIT_USER": unquote(parts.username or ""),
            "SCOW_GIT_PASSWORD": unquote(parts.password or ""),
        }

    def _command(self, *arguments: str) -> list[str]:
        limits = ["prlimit", f"--fsize={_PACK_MAX}", "--core=0"]
        return [*limits, "git", f"--git-dir={self._folder}", *self._settings, *arguments]

    async def start(self) -> None:
        """Make the repository and fetch into it."""
        self._folder.mkdir()
        await self.run("init", "--quiet", "--bare", "--template=", str(self._folder))
        wanted = self._url.ref or "HEAD"
        try:
            await self._fetch("--depth=1", wanted)
        except SourceUnavailable:
            # Not all servers give a commit that is not the end of a branch: then all branches are fetched.
            if not _PREFIX.fullmatch(wanted):
                raise
            await self._fetch("+refs/*:refs/*")

    async def _fetch(self, *what: str) -> None:
        options = (
            ("--quiet", "--no-tags", "--no-write-fetch-head")
            if "+" in what[0]
            else ("--quiet", "--no-tags")
        )
        depth = [word for word in what if word.startswith("--")]
        refs = [word for word in what if not word.startswith("--")]
        await self.run("fetch", *options, *depth, "--", self._url.address, *refs)

    async def commit(self) -> str:
        """Return the commit that is meant, and make it HEAD."""
        names = (
            ["FETCH_HEAD", self._url.ref] if _PREFIX.fullmatch(self._url.ref) else ["FETCH_HEAD"]
        )
        if _COMMIT.fullmatch(self._url.ref):
            names = [self._url.ref]
        for name in names:
            found = await self.run(
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                f"{name}^{{commit}}",
                missing=True,
            )
            if commit := found.decode().strip():
                await self.run("update-ref", "--no-deref", "HEAD", commit)
                return commit
        raise self._failed(f"it has no commit {self._url.ref[:80]!r}")

    async def run(self, *arguments: str, missing: bool = False, most: int = _OUTPUT_MAX) -> bytes:
        """Run git; return what it prints.

        Args:
            arguments: Of git.
            missing: Whether a failure means that something is not there: nothing is returned then.
            most: Bytes that it may print.

        Raises:
            LimitExceeded: It prints more.
        """
        process = await self._spawn(*arguments)
        assert process.stdout is not None
        assert process.stderr is not None
        saying = asyncio.ensure_future(_tail(process.stderr))
        try:
            output = bytearray()
            async for data in _until_end(process.stdout):
                output += data
                if len(output) > most:
                    raise _too_large(self._url, f"{most} bytes of names")
            said = await saying
            await process.wait()
        finally:
            saying.cancel()
            await _end(process)
        if process.returncode != 0:
            if missing:
                return b""
            raise self._failed(_last_line(said))
        return bytes(output)

    @contextlib.asynccontextmanager
    async def objects(
        self, wanted: list[tuple[Entry, bytes]]
    ) -> AsyncIterator[AsyncIterator[tuple[int, int, AsyncIterator[bytes]]]]:
        """Give the contents of blobs: their numbers, sizes, and chunks."""
        process = await self._spawn("cat-file", "--batch", stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        names = b"".join(sha + b"\n" for _, sha in wanted)
        feeding = asyncio.ensure_future(_feed(process.stdin, names))
        try:
            yield self._batch(process, len(wanted))
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await _end(process)

    async def _batch(
        self, process: asyncio.subprocess.Process, count: int
    ) -> AsyncIterator[tuple[int, int, AsyncIterator[bytes]]]:
        output = process.stdout
        assert output is not None
        for number in range(count):
            words = (await output.readline()).split()
            if len(words) != 3 or words[1] != b"blob":
                raise self._failed("an object is missing")
            size = int(words[2])
            yield number, size, _chunks(output, size)
            await output.readexactly(1)

    async def _spawn(
        self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command(*arguments),
            env=self._environment,
            cwd=self._folder,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )

    def _failed(self, why: str) -> SourceUnavailable:
        ref = f" at {self._url.ref[:80]}" if self._url.ref else ""
        return SourceUnavailable(
            f"{self._url.shown}{ref} cannot be fetched: {why}",
            what="git repository",
            which=self._url.shown,
            do="check the address and the reference, then try again",
        )


async def _feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for begin in range(0, len(data), _PIECE):
            stdin.write(data[begin : begin + _PIECE])
            await stdin.drain()
        stdin.close()


async def _chunks(output: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        data = await output.read(min(size, _PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)
        yield data


async def _until_end(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await stream.read(_PIECE):
        yield data


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """Return the end of what git says, in which also a server may say as much as it likes."""
    said = b""
    async for data in _until_end(stream):
        said = (said + data)[-_SAID_MAX:]
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    """End git and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _last_line(said: bytes) -> str:
    """Return what git says is wrong, without addresses, in which passwords may be."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    text = (fatal or lines or ["git failed"])[-1]
    return re.sub(r"(?<=://)[^/@\s']*@", "", text)[:300]


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
