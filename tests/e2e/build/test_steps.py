"""Steps of builds: what each leaves in the image."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.engine import Engine


def run(engine: Engine, image: str, *command: str) -> str:
    return str(engine.cli("run", "--rm", "--network", "none", image, *command).stdout)


def test_a_whole_dockerfile(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, a_dot_txt="hello", dir__sub__x="x")
    told = build(
        client,
        tmp_path,
        """# syntax=docker/dockerfile:1
FROM busybox AS build
ARG WHO=world
ENV GREETING="hello $WHO"
WORKDIR /src
COPY a.txt dir ./
RUN cat a.txt && echo $GREETING > /src/out && echo to stderr >&2
FROM busybox
LABEL kind=test
COPY --from=build /src/out /out
RUN cat /out
USER app
EXPOSE 80
CMD ["cat", "/out"]
""",
        tags=["whole"],
        build_args={"WHO": "you"},
        labels={"more": "1"},
    )
    assert all(text in told.output for text in (b"hello", b"to stderr\n", b"hello you\n"))
    assert b"docker/dockerfile:1 is built in: syntax 1." in told.output
    assert run(engine, "whole") == "hello you\n"
    image = client.images.get("whole")
    assert told.result.images[0].image_id == image.id
    assert dict(image.config.labels) == {"kind": "test", "more": "1"}
    assert (image.config.user, list(image.config.exposed_ports)) == ("app", ["80/tcp"])


def test_files_keep_permissions_and_times_and_belong_to_root(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    files(tmp_path, dir__script="#!/bin/sh\n", dir__deep__er__file="x")
    (tmp_path / "dir/script").chmod(0o750)
    (tmp_path / "dir/link").symlink_to("script")
    os.utime(tmp_path / "dir/script", (1_000_000_000, 1_000_000_000))
    os.chown(tmp_path / "dir/script", 1234, 1234)
    build(client, tmp_path, "FROM busybox\nCOPY dir /to\n", tags=["kept"])
    shown = run(engine, "kept", "stat", "-c", "%a %u:%g %Y", "/to/script")
    assert shown == "750 0:0 1000000000\n"
    assert run(engine, "kept", "readlink", "/to/link") == "script\n"
    assert run(engine, "kept", "cat", "/to/deep/er/file") == "x"


def test_owner_and_mode_of_copies(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, file="x")
    build(
        client,
        tmp_path,
        """FROM busybox
COPY --chown=app:extra --chmod=600 file /new/folder/by-name
COPY --chown=7:8 --chmod=u=rwx,go=rx file /by-number
COPY --chown=app file /by-user
""",
        tags=["owned"],
    )
    shown = run(
        engine, "owned", "stat", "-c", "%a %u:%g", "/new/folder/by-name", "/by-number", "/by-user",
        "/new/folder",
    )  # fmt: skip
    assert shown.splitlines() == ["600 1000:2000", "755 7:8", "644 1000:1000", "755 1000:2000"]


def test_a_directory_of_the_base_stays_as_it_is(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    files(tmp_path, file="x")
    build(client, tmp_path, "FROM busybox\nCOPY file /tmp/file\nCOPY file /home/app/\n", tags=["t"])
    assert run(engine, "t", "stat", "-c", "%a %u", "/tmp", "/home/app") == "1777 0\n755 1000\n"


def test_destinations_lead_through_links_of_the_base(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    files(tmp_path, file="x")
    told = """FROM busybox
RUN mkdir /real && ln -s /real /link && ln -s ../../../real /up
COPY file /link/in
COPY file /up/over
"""
    build(client, tmp_path, told, tags=["linked"])
    shown = run(engine, "linked", "sh", "-c", "readlink /link; ls /real")
    assert shown.split() == ["/real", "in", "over"]


def test_a_directory_never_takes_the_place_of_a_link(client: Client, tmp_path: Path) -> None:
    files(tmp_path, root__link__file="x")
    with pytest.raises(errors.InvalidArgument, match="not a directory") as caught:
        build(client, tmp_path, "FROM busybox\nRUN ln -s /etc /link\nCOPY root /\n")
    assert caught.value.metadata["line"] == "3"


def test_wildcards_and_excludes(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(
        tmp_path, a_dot_txt="a", b_dot_txt="b", c_dot_md="c", d__one_dot_txt="1", d__two_dot_md="2"
    )
    told = """FROM busybox
COPY *.txt /all/
COPY --exclude=*.md d /d
COPY --parents ./d/./*.md /parents/
"""
    build(client, tmp_path, told, tags=["wild"])
    shown = run(engine, "wild", "find", "/all", "/d", "/parents", "-type", "f")
    assert shown.split() == ["/all/a.txt", "/all/b.txt", "/d/one.txt", "/parents/two.md"]


def test_heredocs(engine: Engine, client: Client, tmp_path: Path) -> None:
    told = """FROM busybox
ENV NAME=value
COPY <<one <<"two" /docs/
$NAME
one
$NAME
two
RUN <<END
echo first
echo second > /second
END
"""
    assert build(client, tmp_path, told, tags=["here"]).output == b"first\n"
    assert run(engine, "here", "cat", "/docs/one", "/docs/two", "/second") == (
        "value\n$NAME\nsecond\n"
    )


def test_what_a_run_deletes_is_gone(engine: Engine, client: Client, tmp_path: Path) -> None:
    told = (
        "FROM busybox\nRUN mkdir /d && echo x > /d/f\nRUN rm -r /d && mkdir /d && echo y > /d/g\n"
    )
    build(client, tmp_path, told, tags=["gone"])
    assert run(engine, "gone", "ls", "/d") == "g\n"
    layers = client.images.details("gone").history
    assert len([entry for entry in layers if not entry.empty_layer]) == 3


def test_a_program_that_fails(client: Client, tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed, match="exit code: 3") as caught:
        build(client, tmp_path, "FROM busybox\n\nRUN exit 3\nRUN true\n")
    assert caught.value.metadata["exit_code"] == "3"
    assert caught.value.metadata["line"] == "3"


def test_what_is_not_there(client: Client, tmp_path: Path) -> None:
    with pytest.raises(errors.FileNotFound, match='"/no": not found'):
        build(client, tmp_path, "FROM busybox\nCOPY no /\n")
    with pytest.raises(errors.UserNotFound, match="nobody-here"):
        files(tmp_path, file="x")
        build(client, tmp_path, "FROM busybox\nCOPY --chown=nobody-here file /\n")
    with pytest.raises(errors.InvalidDockerfile):
        build(client, tmp_path, "FROM busybox\nFLY away\n")


def test_only_what_the_target_needs_is_built(client: Client, tmp_path: Path) -> None:
    told = build(
        client,
        tmp_path,
        """FROM busybox AS unused
RUN exit 1
FROM busybox AS wanted
RUN echo wanted
FROM wanted
RUN exit 1
""",
        target="wanted",
    )
    assert told.done == ["FROM busybox", "RUN echo wanted"]


def test_scratch(engine: Engine, client: Client, tmp_path: Path) -> None:
    told = """FROM busybox AS tools
FROM scratch
COPY --from=tools /bin/busybox /busybox
COPY --from=busybox /etc/passwd /etc/
ENTRYPOINT ["/busybox"]
"""
    build(client, tmp_path, told, tags=["tiny"])
    assert run(engine, "tiny", "ls", "/etc") == "hostname\nhosts\npasswd\nresolv.conf\n"
    details = client.images.details("tiny")
    assert len(json.loads(details.configuration)["rootfs"]["diff_ids"]) == 2


def test_named_contexts(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path / "main", a="main")
    files(tmp_path / "other", a="other")
    build(
        client,
        tmp_path / "main",
        "FROM busybox\nCOPY a /main\nCOPY --from=more a /more\n",
        contexts={"more": tmp_path / "other"},
        tags=["named"],
    )
    assert run(engine, "named", "cat", "/main", "/more") == "mainother"


def test_limits_of_programs(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    text = "FROM busybox\nRUN cat /proc/self/limits /etc/hosts; df -k /dev/shm; ls /sys/class/net\n"
    told = build(
        client,
        tmp_path,
        text,
        ulimits=[pb.Ulimit(name="nofile", soft=77, hard=88)],
        extra_hosts=["special:10.1.2.3"],
        shm_size=1 << 20,
        network="none",
    )
    output = told.output.decode()
    assert "Max open files            77" in output
    assert "10.1.2.3\tspecial" in output
    assert "1024" in output
    assert "eth0" not in output


def test_programs_that_want_too_much(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    forks = "FROM busybox\nRUN f() { f | f & }; f; sleep 1; echo survived\n"
    with contextlib.suppress(errors.BuildFailed):
        build(client, tmp_path, forks, pids_limit=30)
    with pytest.raises(errors.BuildFailed):
        greedy = "FROM busybox\nRUN head -c 500000000 /dev/zero | tail\n"
        build(client, tmp_path, greedy, memory=32 << 20, memory_swap=32 << 20)


def test_everything_into_the_root(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, a="1", b__c="2", zero="")
    tmp_path.chmod(0o700)
    for base in ("scratch", "busybox"):
        build(client, tmp_path, f"FROM {base}\nCOPY . /\n", tags=["root:1"])
        output = tmp_path.with_name(f"root-{base}")
        (tmp_path.with_name("Dockerfile")).write_text("FROM root:1\n")
        engine.cli("build", "-q", "-o", str(output), "-", stdin=b"FROM root:1\n")
        assert [(output / name).read_text() for name in ("a", "b/c", "zero")] == ["1", "2", ""]
    told = build(client, tmp_path, "FROM busybox\nCOPY . /\nRUN stat -c %a /\n")
    assert told.output == b"755\n"


def test_one_here_document_is_the_destination(client: Client, tmp_path: Path) -> None:
    text = """FROM busybox
COPY --chmod=755 <<EOF /bin/hello
#!/bin/sh
echo hello
EOF
ADD <<name /etc/
in a directory
name
ADD <<EOF /etc/from-add
added
EOF
COPY <<EOF /tmp
in tmp
EOF
RUN hello && cat /etc/name /etc/from-add /tmp/EOF
"""
    told = build(client, files(tmp_path), text)
    assert told.output == b"hello\nin a directory\nadded\nin tmp\n"
