"""The cache of builds: what counts for it, and what does not."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from scow.client import Client
from tests.support.building import Told, build, files
from tests.support.engine import Engine

TWO = "FROM busybox\nCOPY src /src\nRUN cat /src/*\n"


def test_contents_and_permissions_count_and_times_do_not(client: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="one", src__b="two")
    assert build(client, tmp_path, TWO).cached == []
    first = build(client, tmp_path, TWO)
    assert first.cached == ["COPY src /src", "RUN cat /src/*"]
    os.utime(tmp_path / "src/a", (1, 1))
    again = build(client, tmp_path, TWO)
    assert again.cached == first.cached
    assert again.result.images[0].image_id == first.result.images[0].image_id
    (tmp_path / "src/a").chmod(0o600)
    assert build(client, tmp_path, TWO).cached == []
    files(tmp_path, src__a="uno")
    assert build(client, tmp_path, TWO).cached == []


def test_only_changed_files_are_sent(client: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="x" * 1000, src__b="y" * 1000, src__c="")
    assert build(client, tmp_path, TWO).sent == 2000
    assert build(client, tmp_path, TWO).sent == 0
    files(tmp_path, src__b="z" * 500)
    told = build(client, tmp_path, TWO)
    assert told.sent == 500
    assert told.output == b"x" * 1000 + b"z" * 500


def test_files_that_are_left_out_do_not_count(client: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="a", src__b_dot_log="b", _dot_dockerignore="**/*.log\n")
    assert build(client, tmp_path, TWO).output == b"a"
    files(tmp_path, src__b_dot_log="changed", src__c_dot_log="new")
    assert build(client, tmp_path, TWO).cached == ["COPY src /src", "RUN cat /src/*"]


def test_no_cache(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    two = "FROM busybox AS one\nRUN echo 1\nFROM busybox AS two\nCOPY --from=one /etc/passwd /p\nRUN echo 2\n"
    build(client, tmp_path, two)
    assert build(client, tmp_path, two, no_cache=True).cached == []
    some = build(client, tmp_path, two, no_cache_stages=["two"])
    assert some.cached == ["RUN echo 1"]


def test_the_same_step_in_two_builds_runs_once(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    text = "FROM busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid | tee /uuid\n"
    told: list[Told] = []
    threads = [
        threading.Thread(target=lambda: told.append(build(client, tmp_path, text)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.output for one in told}) == 1
    assert len({one.result.images[0].image_id for one in told}) == 1


def test_stages_that_do_not_need_each_other_run_side_by_side(
    client: Client, tmp_path: Path
) -> None:
    # Each waits for the others by files in a cache that all mount: one after the other they would wait for ever.
    wait = "touch /c/{0}; while [ ! -e /c/a -o ! -e /c/b -o ! -e /c/c ]; do sleep 0.05; done"
    names = "abc"
    run = f"RUN --mount=type=cache,target=/c,id={tmp_path.name} {wait}; echo {{0}} > /out-{{0}}\n"
    stages = [f"FROM busybox AS {name}\n{run.format(name)}" for name in names]
    last = "FROM scratch\n" + "".join(f"COPY --from={name} /out-{name} /\n" for name in names)
    build(client, files(tmp_path), "".join(stages) + last)


def test_the_cache_outlives_the_service(own_engine: Engine, tmp_path: Path) -> None:
    with Client(own_engine.host) as client:
        files(tmp_path, src__a="one")
        build(client, tmp_path, TWO)
        own_engine.kill_service("build")
        assert build(client, tmp_path, TWO).cached == ["COPY src /src", "RUN cat /src/*"]
        own_engine.restart()
        told = build(client, tmp_path, TWO)
        assert told.cached == ["COPY src /src", "RUN cat /src/*"]
        assert told.sent == 0


def test_pruned_results_are_made_anew(client: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="one")
    build(client, tmp_path, TWO)
    assert {"regular", "source.local"} <= {record.type for record in client.builds.disk_usage()}
    client.builds.prune(all=True)
    assert client.builds.disk_usage() == []
    told = build(client, tmp_path, TWO)
    assert told.cached == []
    assert told.sent == 3
