"""Rows about builds, whole commands: docker's classic builder (Debian's has no other), podman's, which is buildah."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.measure import Action, Bench, take_turns, take_turns_between
from tests.bench.moves import empty, targets
from tests.bench.table import Row
from tests.support import images

_STEPS = 20
_STAGES = 12
_FILES = 20_000
_GIGABYTE = 1 << 30
_NAME = "localhost/built"
_RUNS = "FROM busybox\n" + "".join(f"RUN echo {n} > /file-{n}\n" for n in range(_STEPS))
_COPY = "FROM busybox\nCOPY files /files\n"


def build_runs(bench: Bench) -> Row:
    """Twenty RUN steps, nothing cached."""
    row = Row(f"build, {_STEPS} RUN steps", "ms", budget=0.2)
    folder = _folder(bench, "runs", _RUNS)
    row.values = take_turns(_actions(bench, folder, "--no-cache"), bench.few)
    return row


def build_cached(bench: Bench) -> Row:
    """The same, all cached."""
    row = Row(f"build, {_STEPS} RUN steps, cached", "ms", budget=1 / 3)
    row.values = take_turns(_actions(bench, _folder(bench, "runs", _RUNS)), bench.rounds)
    return row


def build_stages(bench: Bench) -> Row:
    """Stages that do not need each other, with a second of waiting in each."""
    stages = "".join(
        f"FROM busybox AS s{n}\nRUN sleep 1; echo {n} > /of-{n}\n" for n in range(_STAGES)
    )
    last = "FROM busybox\n" + "".join(f"COPY --from=s{n} /of-{n} /\n" for n in range(_STAGES))
    row = Row(f"build, {_STAGES} stages of a second", "ms", budget=1.0)
    folder = _folder(bench, "stages", stages + last)
    row.values = take_turns(_actions(bench, folder, "--no-cache"), bench.few)
    return row


def build_files(bench: Bench) -> list[Row]:
    """COPY of many files: all of them new, unchanged, and with one changed."""
    folder = _many(bench)
    changing = folder / "files/0/0"
    first = Row(f"build, COPY of {_FILES:,} files", "ms", budget=1.0)
    first.values = take_turns(_actions(bench, folder, "--no-cache"), bench.few)
    same = Row("the same again, unchanged", "ms", budget=1.0)
    same.values = take_turns(_actions(bench, folder), bench.few)
    one = Row("the same again, one changed", "ms", budget=1.0)
    numbers = iter(range(1_000_000))

    def changed(act: Action) -> Action:
        def do() -> None:
            changing.write_text(f"changed {next(numbers)}")
            act()

        return do

    actions = {name: changed(act) for name, act in _actions(bench, folder).items()}
    one.values = take_turns(actions, bench.few)
    return [first, same, one]


def build_large(bench: Bench) -> Row:
    """A context of a gigabyte, unchanged, all cached."""
    folder = _folder(bench, "large", _COPY)
    path = folder / "files/large"
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        piece = os.urandom(1 << 20)
        for _ in range(_GIGABYTE >> 20):
            file.write(piece)
    row = Row("build, context of 1 GB, unchanged", "ms", budget=1.0)
    actions = _actions(bench, folder)
    for act in actions.values():
        act()
    row.values = take_turns_between(actions, bench.few, {})
    path.unlink()
    return row


def build_program(bench: Bench) -> Row:
    """A C program in two stages, the second one from scratch, over a Debian with a compiler."""
    row = Row("build, C program in two stages", "ms", budget=1.0)
    text = (
        "FROM debian AS build\nCOPY hello.c /\nRUN gcc -O2 -static -o /hello /hello.c\n"
        'FROM scratch\nCOPY --from=build /hello /hello\nENTRYPOINT ["/hello"]\n'
    )
    folder = _folder(bench, "program", text)
    (folder / "hello.c").write_text(
        '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
    )
    archive = bench.folder / "debian.tar"
    source, target = f"oci-archive:{images.debian()}", f"docker-archive:{archive}:debian:latest"
    subprocess.run(["skopeo", "copy", "-q", source, target], check=True)
    bench.engine.cli("load", "-q", "-i", str(archive), seconds=600)
    for peer in bench.peers.values():
        peer.cli("load", "-q", "-i", str(archive))
    archive.unlink()
    if "podman" in bench.peers:  # it looks for short names there
        bench.peers["podman"].cli("tag", "docker.io/library/debian", "localhost/debian")
    row.values = take_turns(_actions(bench, folder, "--no-cache"), bench.few)
    return row


def build_export(bench: Bench) -> Row:
    """A layer of 50 MB, built and sent to a registry that is empty each time."""
    row = Row("build and push, a layer of 50 MB", "ms", budget=1.0)
    folder = _folder(bench, "export", _COPY)
    path = folder / "files/random"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(50 << 20))
    with targets(bench) as (names, registry):
        ours, theirs = names["scow"], names["peers"]
        flags = ("build", "-q", "--no-cache")
        actions: dict[str, Action] = {
            "scow": _command(bench.engine.cli, (*flags, "--push", "-t", ours, str(folder)))
        }
        for name, peer in bench.peers.items():
            build = _command(peer.cli, (*flags, "-t", theirs, str(folder)))
            actions[name] = _both(build, _command(peer.cli, ("push", "-q", theirs)))
        after = {name: partial(empty, registry) for name in actions}
        row.values = take_turns_between(actions, bench.few, after)
        bench.engine.cli("rmi", ours)
        for peer in bench.peers.values():
            peer.cli("rmi", theirs)
    path.unlink()
    return row


def _both(first: Action, second: Action) -> Action:
    def do() -> None:
        first()
        second()

    return do


def _folder(bench: Bench, name: str, dockerfile: str) -> Path:
    folder = bench.folder / f"build-{name}"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def _many(bench: Bench) -> Path:
    folder = _folder(bench, "files", _COPY)
    for number in range(_FILES):
        path = folder / f"files/{number // 200}/{number % 200}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 100)
    return folder


def _actions(bench: Bench, folder: Path, *flags: str) -> dict[str, Action]:
    words = ("build", "-q", *flags, "-t", _NAME, str(folder))
    actions: dict[str, Action] = {"scow": _command(bench.engine.cli, words)}
    for name, peer in bench.peers.items():
        more = ("--layers",) if name == "podman" else ()
        actions[name] = _command(peer.cli, (words[0], *more, *words[1:]))
    return actions


def _command(cli: Callable[..., object], words: tuple[str, ...]) -> Action:
    return lambda: cli(*words)
