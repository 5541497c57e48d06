"""Git repositories as trees."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.build.context import git
from scow.build.context.git import GitUrl
from scow.contract.errors import (
    DigestMismatch,
    FileNotFound,
    InvalidContext,
    LimitExceeded,
    SourceDenied,
    SourceUnavailable,
)

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "A" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "a@example.com" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-01-02T03:04:05Z" for who in ("AUTHOR", "COMMITTER")},
}


def run(folder: Path, *arguments: str, stdin: str = "") -> str:
    command = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=ENVIRONMENT, input=stdin
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    run(folder, "add", "-A")
    run(folder, "commit", "-q", "--no-gpg-sign", "-m", message)
    return run(folder, "rev-parse", "HEAD")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder by the old protocol, for which `update-server-info` is enough."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    run(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "sub/dir").mkdir(parents=True)
    (folder / "sub/dir/f").write_bytes(b"x" * 500_000)
    (folder / "link").symlink_to("../../etc/passwd")
    (folder / "a\udcff").write_text("bytes")
    (folder / ".gitattributes").write_text("sub export-ignore\n*.sh filter=evil\n")
    commit(folder, "first")
    run(folder, "tag", "v1")
    (folder / "new").write_text("new")
    commit(folder, "second")
    run(folder, "branch", "feature/x")
    return folder


async def fetched(url: GitUrl, folder: Path, **values: object) -> git.Checkout:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    found = await git.fetch(url, str(scratch), allow_files=True, **values)  # type: ignore[arg-type]
    assert list(scratch.iterdir()) == []
    return found


async def content(found: git.Checkout, path: bytes) -> bytes:
    return b"".join([data async for _, data in found.contents.read([found.tree.entries[path]])])


def of(repository: Path, **values: str) -> GitUrl:
    return GitUrl(f"file://{repository}", **values)


# They run git to make repositories.
pytestmark = pytest.mark.blocks_event_loop


async def test_a_repository(repository: Path, tmp_path: Path) -> None:
    found = await fetched(of(repository), tmp_path)
    assert found.commit == run(repository, "rev-parse", "HEAD")
    entries = found.tree.entries
    assert set(entries) == {
        *(b"", b"Dockerfile", b"run.sh", b"sub", b"sub/dir", b"sub/dir/f", b"link", b"a\xff"),
        *(b".gitattributes", b"new"),
    }
    assert entries[b"run.sh"].mode == stat.S_IFREG | 0o755
    assert entries[b"link"].link == b"../../etc/passwd"
    assert await content(found, b"sub/dir/f") == b"x" * 500_000
    assert await content(found, b"Dockerfile") == b"FROM scratch\n"
    found.contents.close()


@pytest.mark.parametrize("ref", ["v1", "feature/x", "main", "commit", "short"])
async def test_references(repository: Path, tmp_path: Path, ref: str) -> None:
    first = run(repository, "rev-parse", "v1")
    wanted = {"commit": first, "short": first[:10]}.get(ref, ref)
    found = await fetched(of(repository, ref=wanted), tmp_path)
    assert (b"new" in found.tree.entries) == (ref in ("feature/x", "main"))
    found.contents.close()


async def test_folders(repository: Path, tmp_path: Path) -> None:
    found = await fetched(of(repository, folder="sub/dir"), tmp_path)
    assert set(found.tree.entries) == {b"", b"f"}
    for folder in ("nothing", "Dockerfile"):
        with pytest.raises(FileNotFound):
            await fetched(of(repository, folder=folder), tmp_path)


async def test_checksums(repository: Path, tmp_path: Path) -> None:
    head = run(repository, "rev-parse", "HEAD")
    await fetched(of(repository, checksum=head[:12]), tmp_path)
    for checksum in ("0" * 40, head[:3]):
        with pytest.raises(DigestMismatch):
            await fetched(of(repository, checksum=checksum), tmp_path)


async def test_the_git_directory(repository: Path, tmp_path: Path) -> None:
    found = await fetched(of(repository), tmp_path, keep_git_dir=True)
    assert (await content(found, b".git/HEAD")).decode().strip() == found.commit
    assert any(path.startswith(b".git/objects/") for path in found.tree.entries)


async def test_submodules(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    run(outer, "init", "-q", "-b", "main")
    run(outer, "submodule", "--quiet", "add", f"file://{repository}", "deep/inner")
    commit(outer, "with a submodule")
    checked: list[str] = []
    found = await fetched(of(outer), tmp_path, check=checked.append)
    assert checked == [f"file://{repository}"]
    assert await content(found, b"deep/inner/Dockerfile") == b"FROM scratch\n"
    found = await fetched(of(outer), tmp_path, submodules=False)
    assert found.tree.entries[b"deep/inner"].is_directory
    assert b"deep/inner/Dockerfile" not in found.tree.entries

    def refuse(url: str) -> None:
        raise SourceDenied(url)

    with pytest.raises(SourceDenied):
        await fetched(of(outer), tmp_path, check=refuse)


@pytest.mark.parametrize(
    "address", ["ext::sh -c touch% /tmp/x", "-u/tmp/x", "/etc", "http://127.0.0.1:1/x"]
)
async def test_submodules_of_strangers(tmp_path: Path, address: str) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    run(outer, "init", "-q", "-b", "main")
    (outer / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = x\n\turl = {address}\n')
    run(outer, "add", "-A")
    run(outer, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    run(outer, "commit", "-q", "-m", "hostile")
    with pytest.raises((InvalidContext, SourceUnavailable)):
        await fetched(of(outer), tmp_path)


async def test_names_that_lead_elsewhere(repository: Path, tmp_path: Path) -> None:
    blob = run(repository, "hash-object", "-w", "Dockerfile")
    for name in ("..", ".git", ".GIT"):
        entry = f"100644 blob {blob}\t{name}\n"
        tree = run(repository, "mktree", stdin=entry)
        made = run(repository, "commit-tree", "-m", "x", tree)
        run(repository, "update-ref", "refs/heads/hostile", made)
        with pytest.raises((InvalidContext, SourceUnavailable)):
            await fetched(of(repository, ref="hostile"), tmp_path)


async def test_what_is_not_there(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="at nothing cannot be fetched"):
        await fetched(of(repository, ref="nothing"), tmp_path)
    with pytest.raises(SourceUnavailable):
        await fetched(of(repository, ref="0" * 40), tmp_path)
    with pytest.raises(SourceUnavailable):
        await fetched(of(tmp_path / "nothing"), tmp_path)


async def test_http(repository: Path, served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    run(tmp_path, "clone", "-q", "--bare", str(repository), str(folder / "r.git"))
    run(folder / "r.git", "update-server-info")
    # The old protocol knows no depth: the fetch of all branches stands in.
    head = run(repository, "rev-parse", "HEAD")
    found = await fetched(GitUrl.parse(f"{address}/r.git#{head}"), tmp_path)
    assert await content(found, b"new") == b"new"
    with pytest.raises(SourceUnavailable) as caught:
        await fetched(GitUrl.parse(f"{address.replace('//', '//user:secret@')}/none.git"), tmp_path)
    assert "secret" not in str(caught.value)


class Locked(Quiet):
    """Wants a user and a password, and looks who runs with them in the command line."""

    seen: list[bytes]

    def do_GET(self) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.seen.append(path.read_bytes())
        wanted = base64.b64encode(b"us er:s3cr%t").decode()
        if self.headers.get("Authorization") == f"Basic {wanted}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="r"')
        self.send_header("Content-Length", "0")
        self.end_headers()


async def test_a_password_is_in_no_command_line(repository: Path, tmp_path: Path) -> None:
    run(tmp_path, "clone", "-q", "--bare", str(repository), str(tmp_path / "r.git"))
    run(tmp_path / "r.git", "update-server-info")
    head = run(repository, "rev-parse", "HEAD")
    handler = type("Handler", (Locked,), {"seen": []})
    served = functools.partial(handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            url = f"http://us%20er:s3cr%25t@127.0.0.1:{server.server_port}/r.git#{head}"
            found = await fetched(GitUrl.parse(url), tmp_path, keep_git_dir=True)
            wrong = url.replace("s3cr", "wr0ng")
            with pytest.raises(SourceUnavailable) as caught:
                await fetched(GitUrl.parse(wrong), tmp_path)
        finally:
            server.shutdown()
            thread.join()
    assert await content(found, b"new") == b"new"
    seen = b"\n".join(handler.seen)  # type: ignore[attr-defined]
    assert b"remote-http" in seen
    assert b"s3cr" not in seen
    assert b"wr0ng" not in seen
    assert "wr0ng" not in str(caught.value)
    for path, entry in found.tree.entries.items():
        if entry.is_file:
            assert b"s3cr" not in await content(found, path)


async def test_trees_in_trees_without_end(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "_LISTING_MAX", 1 << 20)
    blob = run(repository, "hash-object", "-w", "Dockerfile")
    tree = run(repository, "mktree", stdin=f"100644 blob {blob}\tf\n")
    for _ in range(12):  # 10^12 files
        lines = [f"040000 tree {tree}\t{number}\n" for number in range(10)]
        tree = run(repository, "mktree", stdin="".join(lines))
    bomb = run(repository, "commit-tree", "-m", "x", tree)
    run(repository, "update-ref", "refs/heads/bomb", bomb)
    with pytest.raises(LimitExceeded, match="bytes of names"):
        await fetched(of(repository, ref="bomb"), tmp_path)


async def test_the_git_directory_counts(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "random").write_bytes(os.urandom(300_000))
    commit(repository, "random")
    monkeypatch.setattr(git, "SIZE_MAX", 1_000_000)
    await fetched(of(repository), tmp_path)
    with pytest.raises(LimitExceeded):
        await fetched(of(repository), tmp_path, keep_git_dir=True)


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://user:t0ken@h/a.git", "user:t0ken@h/a", "https://user:t0ken@h/a?x=t0ken#a..b"),
        *("https://user:t0ken@h/a#-x", "https://us%0aer:t0ken@h/a"),
    ],
)
def test_no_error_has_a_password(text: str) -> None:
    with pytest.raises(InvalidContext) as caught:
        GitUrl.parse(text)
    assert "t0ken" not in f"{caught.value} {caught.value.metadata}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://h/a.git", GitUrl("https://h/a.git")),
        ("https://h/a.git#v1:sub/dir/", GitUrl("https://h/a.git", "v1", "sub/dir")),
        ("https://h/a.git#:sub", GitUrl("https://h/a.git", "", "sub")),
        ("git@h.example:a/b.git#x", GitUrl("ssh://git@h.example/a/b.git", "x")),
        (
            "https://h/a.git?ref=v1&subdir=s&checksum=abcdef1",
            GitUrl("https://h/a.git", "v1", "s", "abcdef1"),
        ),
    ],
)
def test_addresses(text: str, expected: GitUrl) -> None:
    assert GitUrl.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://h/a.git", "file:///etc", "ext::sh", "https://", "https://-oProxy/x", "h:x"),
        *("https://h/a#-x", "https://h/a#a..b", "https://h/a#a b", "https://h/a#v:../x", "-x@h:a"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidContext):
        GitUrl.parse(text)
