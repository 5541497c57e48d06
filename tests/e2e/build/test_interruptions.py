"""Builds that are cut: by their client, a failure, the death of a service. Nothing stays, and what was done counts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.client import Client, ContextDirectory
from scow.contract import errors
from tests.support import processes
from tests.support.building import build, files
from tests.support.engine import Engine

FIRST = "RUN echo first > /first"
WAITS = "RUN echo waiting; sleep 1000"


def begun(client: Client, folder: Path, text: str) -> Iterator[pb.BuildResponse]:
    options = pb.BuildOptions(dockerfile=text.encode(), dockerfile_path="Dockerfile")
    return client.builds.build_progress(options, {"": ContextDirectory(folder)}, timeout=60)


def until(responses: Iterator[pb.BuildResponse], what: Callable[[pb.BuildResponse], bool]) -> None:
    for response in responses:
        if what(response):
            return
    raise AssertionError("the build ended before")


def is_waiting(response: pb.BuildResponse) -> bool:
    return b"waiting" in response.event.log.data


def assert_nothing_stays(engine: Engine, client: Client) -> None:
    def is_clean() -> bool:
        work = [*(engine.root / "build/work").iterdir(), *(engine.run / "build").iterdir()]
        return not client.containers.list(all=True) and not work

    processes.wait_for(is_clean, "the end of what a build had made")
    assert not [b for b in client.builds.list() if b.status == pb.BUILD_STATUS_RUNNING]


def test_a_client_that_goes_away(engine: Engine, client: Client, tmp_path: Path) -> None:
    text = f"FROM busybox\n{FIRST}\nRUN --mount=type=tmpfs,target=/t {WAITS[4:]}\n"
    with begun(client, files(tmp_path), text) as building:  # type: ignore[attr-defined]
        until(building, is_waiting)
    assert_nothing_stays(engine, client)
    latest = client.builds.list()[0]
    assert latest.status == pb.BUILD_STATUS_CANCELED
    assert build(client, tmp_path, f"FROM busybox\n{FIRST}\n").cached == [FIRST]


def test_a_client_that_goes_away_while_it_sends(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    files(tmp_path, src="x" * 5_000_000)
    options = pb.BuildOptions(
        dockerfile=b"FROM busybox\nCOPY src /\n", dockerfile_path="Dockerfile"
    )
    directory = ContextDirectory(tmp_path)

    class Leaving(Exception):
        pass

    def contents(want: pb.BuildResponse.WantContent) -> Iterator[pb.BuildRequest.Content]:
        piece = pb.BuildRequest.Content.Piece(index=want.indexes[0], chunk=b"x" * 1000)
        yield pb.BuildRequest.Content(context=want.context, pieces=[piece])
        raise Leaving

    directory.contents = contents  # type: ignore[method-assign]
    with pytest.raises(Leaving), client.builds.build_progress(options, {"": directory}) as building:
        for _ in building:
            pass
    assert_nothing_stays(engine, client)
    assert build(client, tmp_path, "FROM busybox\nCOPY src /\n").sent == 5_000_000


def test_a_build_that_is_stopped(engine: Engine, client: Client, tmp_path: Path) -> None:
    building = begun(client, files(tmp_path), f"FROM busybox\n{WAITS}\n")
    until(building, is_waiting)
    client.builds.stop(client.builds.list()[0].id)
    with pytest.raises(errors.Cancelled):
        for _ in building:
            pass
    assert_nothing_stays(engine, client)


def test_a_prune_amid_a_build_leaves_what_it_has_made(client: Client, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN echo one > /one\nRUN echo waiting; sleep 2\n"
    building = begun(client, files(tmp_path), text)
    until(building, is_waiting)
    removed = [record.description for record in client.builds.prune(all=True).removed]
    assert "RUN echo one > /one" not in removed
    assert [r.result.images for r in building if r.HasField("result")]


def test_a_failure_ends_what_nobody_else_needs(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    text = f"""FROM busybox AS one
{WAITS}
FROM busybox AS two
RUN sleep 1; exit 4
FROM scratch
COPY --from=one / /
COPY --from=two / /
"""
    with pytest.raises(errors.BuildFailed, match="exit code: 4"):
        build(client, files(tmp_path), text)
    assert_nothing_stays(engine, client)


def test_a_step_goes_on_for_who_still_needs_it(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    text = "FROM busybox\nRUN echo waiting; sleep 2; cat /proc/sys/kernel/random/uuid\n"
    building = begun(client, files(tmp_path), text)
    until(building, is_waiting)
    outputs: list[bytes] = []
    other = threading.Thread(target=lambda: outputs.append(build(client, tmp_path, text).output))
    other.start()
    shared = lambda: any(  # noqa: E731
        step.shared for step in client.builds.get(client.builds.list()[0].id).vertices
    )
    processes.wait_for(shared, "the second build")
    building.close()  # type: ignore[attr-defined]
    other.join()
    assert outputs
    assert outputs[0].startswith(b"waiting\n")


def test_a_program_that_takes_too_long(engine: Engine, client: Client, tmp_path: Path) -> None:
    with pytest.raises(errors.DeadlineExceeded):
        build(client, files(tmp_path), f"FROM busybox\n{WAITS}\n", run_seconds=1)
    assert_nothing_stays(engine, client)


def test_processes_that_a_program_leaves_behind(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    text = "FROM busybox\nRUN (trap '' TERM HUP; sleep 1000) & echo left\n"
    assert build(client, files(tmp_path), text).output == b"left\n"
    assert_nothing_stays(engine, client)


def test_the_death_of_each_service(own_engine: Engine, tmp_path: Path) -> None:
    files(tmp_path)
    with Client(own_engine.host) as client:
        for service in ("build", "container", "image", "network", "volume"):
            first = f"RUN echo {service} > /first"
            text = f"FROM busybox\n{first}\nRUN echo waiting; sleep 1; echo done\n"
            building = begun(client, tmp_path, text)
            until(building, is_waiting)
            own_engine.kill_service(service)
            with contextlib.suppress(errors.ScowError):
                for _ in building:
                    pass
            assert first in build(client, tmp_path, text).cached
        assert_nothing_stays(own_engine, client)
