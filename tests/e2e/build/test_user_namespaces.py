"""RUN in user namespaces, where the engine's containers have them: what it gets is its own, and layers are as ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import Client
from tests.support.building import build, files
from tests.support.busybox import import_busybox
from tests.support.engine import Engine

TEXT = """FROM busybox AS one
RUN cat /proc/self/uid_map
RUN mkdir /d && echo x > /d/f && chown 7:8 /d/f && chmod 4755 /d/f
FROM busybox
COPY --from=one /d /d
RUN stat -c '%u:%g %a' /d /d/f
RUN --mount=type=secret,id=token,uid=7 --mount=type=secret,id=variable,env=VALUE \\
    stat -c '%u %a' /run/secrets/token && cat /run/secrets/token && echo $VALUE
RUN --mount=type=cache,target=/cache,id=NAME echo kept >> /cache/file && stat -c %u /cache /cache/file
RUN --mount=type=cache,target=/cache,id=NAME cat /cache/file && rm /cache/file
RUN --mount=type=bind,target=/c,rw cat /c/file && stat -c %u /c/file && echo changed > /c/file
RUN --mount=type=bind,from=one,target=/one stat -c %u:%g /one/d/f
RUN <<END
#!/bin/sh
echo a program
END
USER app
RUN id -u && test ! -w /d/f
"""
SHOWN = """0:0 755
7:8 4755
7 400
s3cr3t
of the environment
0
0
kept
file
0
7:8
a program
1000
"""


@pytest.fixture(scope="module")
def mapped() -> Iterator[Engine]:
    with Engine(settings={"SCOW_CONTAINER_USERNS": "auto"}) as engine:
        import_busybox(engine)
        yield engine


def test_what_a_step_gets(mapped: Engine, tmp_path: Path) -> None:
    context = files(tmp_path, file="file\n")
    secrets = {"token": b"s3cr3t\n", "variable": b"of the environment"}
    with Client(mapped.host) as client:
        told = build(
            client, context, TEXT.replace("NAME", tmp_path.name), secrets=secrets, tags=["mapped"]
        )
        first, _, rest = told.output.decode().partition("\n")
        inside, outside, _ = map(int, first.split())
        assert inside == 0
        assert outside >= 1_000_000_000
        assert rest == SHOWN
    shown = mapped.cli("run", "--rm", "--userns=host", "mapped", "stat", "-c", "%u:%g", "/d/f")
    assert shown.stdout == "7:8\n"
