"""From a Dockerfile to stages that can be built."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend.plan import Plan
from scow.build.frontend.steps import (
    BaseImage,
    BuildStage,
    ContextSource,
    CopyStep,
    File,
    ImageSource,
    RunStep,
    ScratchSource,
    Source,
    StageSource,
    Step,
    WorkdirStep,
)
from scow.build.frontend.variables import Options
from scow.contract.errors import InvalidDockerfile
from scow.words.dockerfile import parser

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUSYBOX = ImageSource("busybox")


def planned(text: str, **options: object) -> Plan:
    return Plan(parser.parse(text.encode()), Options(**options))  # type: ignore[arg-type]


def staged(
    text: str, images: Mapping[Source, pb.ImageConfig] | None = None, **options: object
) -> tuple[BuildStage, ...]:
    """Return the stages of a file; a base without a configuration of its own has an empty one."""
    plan = planned(text, **options)
    while wanted := plan.missing():
        for source in wanted:
            plan.provide(source, BaseImage((images or {}).get(source, pb.ImageConfig())))
    return plan.stages()


def last(text: str, **options: object) -> BuildStage:
    return staged(text, **options)[-1]  # type: ignore[arg-type]


def only(text: str, **options: object) -> Step:
    (step,) = last("FROM scratch\n" + text, **options).steps
    return step


def run(text: str, **options: object) -> RunStep:
    step = last("FROM scratch\n" + text, **options).steps[-1]
    assert isinstance(step, RunStep)
    return step


def copy(text: str, **options: object) -> CopyStep:
    step = last("FROM scratch\n" + text, **options).steps[-1]
    assert isinstance(step, CopyStep)
    return step


def refused(text: str, **options: object) -> str:
    with pytest.raises(InvalidDockerfile) as caught:
        staged(text, **options)  # type: ignore[arg-type]
    return str(caught.value)


THREE = "FROM busybox AS a\nRUN a\nFROM scratch AS b\nRUN b\nFROM a\nCOPY --from=b /x /y\n"


def test_only_what_the_target_needs() -> None:
    assert [stage.index for stage in staged(THREE)] == [0, 1, 2]
    assert [stage.index for stage in staged(THREE, target="b")] == [1]
    assert [stage.index for stage in staged(THREE, target="0")] == [0]
    assert planned(THREE, target="B").missing() == ()
    assert planned(THREE).missing() == (ImageSource("busybox"),)


def test_what_a_stage_begins_with() -> None:
    stages = staged(
        "ARG V=1\nFROM --platform=linux/arm64 img:$V AS a\nFROM a AS b\nFROM named\nCOPY --from=b / /\n",
        contexts=frozenset({"named"}),
    )
    assert [(stage.base, stage.platform) for stage in stages] == [
        (ImageSource("img:1", "linux/arm64"), "linux/arm64"),
        (StageSource(0), "linux/arm64"),
        (ContextSource("named"), "linux/amd64"),
    ]
    assert [stage.needs for stage in stages] == [(), (0,), (1,)]


def test_a_named_context_takes_the_place_of_an_image_or_a_stage() -> None:
    text = (
        "FROM alpine AS base\nRUN x\nFROM docker.io/library/busybox:latest\n"
        "COPY --from=base /x /\nCOPY --from=alpine /a /"
    )
    stages = staged(text, contexts=frozenset({"base", "busybox", "alpine"}))
    assert [stage.base for stage in stages] == [ContextSource("base"), ContextSource("busybox")]
    sources = [step.source for step in stages[1].steps if isinstance(step, CopyStep)]
    assert sources == [StageSource(0), ContextSource("alpine")]


def test_variables_of_args_and_env() -> None:
    text = (
        "ARG V=1\nARG W=${V}2\nFROM busybox\nARG V\nARG W=9 X\nARG Y=$V$Z\nENV Z=$V:$W V=env\nENV Z2=$Z\n"
        "RUN echo $V\n"
    )
    stage = last(text, build_args={"X": "given", "UNUSED": "u"})
    assert list(stage.config.env) == [PATH, "Z=1:9", "V=env", "Z2=1:9"]
    (step,) = stage.steps
    assert isinstance(step, RunStep)
    assert step.env == (PATH, "V=env", "W=9", "X=given", "Y=1", "Z=1:9", "Z2=1:9")
    assert step.build_args == ("V", "W", "X", "Y")
    assert [entry.created_by for entry in stage.history] == [
        "ARG V=1",
        "ARG W=9 X=given",
        "ARG Y=1",
        "ENV Z=1:9 V=env",
        "ENV Z2=1:9",
        "RUN |4 V=env W=9 X=given Y=1 /bin/sh -c echo $V # buildkit",
    ]
    assert [entry.step for entry in stage.history] == [None] * 5 + [0]


def test_variables_of_the_platform() -> None:
    step = run(
        "ARG TARGETARCH TARGETVARIANT BUILDPLATFORM TARGETSTAGE\nARG TARGETOS=own\nRUN x",
        platform="linux/arm/v6",
        build_args={"BUILDPLATFORM": "linux/x"},
    )
    assert step.env[1:] == (
        *("TARGETARCH=arm", "TARGETVARIANT=v6", "BUILDPLATFORM=linux/x", "TARGETSTAGE=default"),
        "TARGETOS=own",
    )


def test_args_are_inherited_by_stages_above_but_not_across() -> None:
    stages = staged(
        "FROM scratch AS a\nARG A=1\nFROM a\nRUN $A\nFROM scratch\nRUN $A\n", all_stages=True
    )
    runs = [step for stage in stages for step in stage.steps if isinstance(step, RunStep)]
    assert [run.env[1:] for run in runs] == [("A=1",), ()]


def test_proxies_need_no_arg_and_leave_no_trace() -> None:
    stage = last(
        "FROM scratch\nARG no_proxy\nRUN x",
        build_args={"HTTP_PROXY": "http://user:secret@p", "no_proxy": "a"},
    )
    (step,) = stage.steps
    assert isinstance(step, RunStep)
    assert step.proxies == (
        *("http_proxy=http://user:secret@p", "HTTP_PROXY=http://user:secret@p"),
        "NO_PROXY=a",
    )
    assert step.env == (PATH, "no_proxy=a")
    assert "secret" not in str(stage.history) + str(stage.config)


def test_commands() -> None:
    base = pb.ImageConfig(cmd=["old"], entrypoint=["e"], shell=["ash", "-c"])
    stage = staged("FROM busybox\nENTRYPOINT run $X", {BUSYBOX: base})[-1]
    assert (list(stage.config.entrypoint), list(stage.config.cmd)) == (["ash", "-c", "run $X"], [])
    stage = staged("FROM busybox\nCMD a\nENTRYPOINT []", {BUSYBOX: base})[-1]
    assert (list(stage.config.entrypoint), list(stage.config.cmd)) == ([], ["ash", "-c", "a"])
    stage = staged("FROM scratch AS a\nCMD a\nFROM a\nENTRYPOINT b", {})[-1]
    assert list(stage.config.cmd) == []


@pytest.mark.parametrize(
    ("text", "args", "scripts"),
    [
        ("RUN a  b", ["/bin/sh", "-c", "a  b"], ()),
        ('RUN ["a", "$B"]', ["a", "$B"], ()),
        ('SHELL ["bash", "-ec"]\nRUN a', ["bash", "-ec", "a"], ()),
        ("RUN <<EOF\na\nb $X\nEOF", ["/bin/sh", "-c", "a\nb $X\n"], ()),
        ("RUN <<-EOF\n\ta\n\tEOF", ["/bin/sh", "-c", "a\n"], ()),
        (
            "RUN <<EOF\n#!/usr/bin/python\nx\nEOF",
            ["/bin/sh", "-c", "/dev/pipes/EOF"],
            (File("EOF", "#!/usr/bin/python\nx\n"),),
        ),
        (
            "RUN cat <<A <<-B | x\na\nA\n\tb\n\tB",
            ["/bin/sh", "-c", "cat <<A <<-B | x\na\nA\n\tb\nB"],
            (),
        ),
    ],
)
def test_what_runs(text: str, args: list[str], scripts: tuple[File, ...]) -> None:
    step = run(text)
    assert (list(step.args), step.scripts) == (args, scripts)


def test_where_it_runs() -> None:
    step = run(
        "WORKDIR /a\nWORKDIR b/../c\nUSER $U:g\nRUN --network=none --security=insecure x",
        build_args={"U": "u"},
    )
    assert (step.user, step.workdir, step.network, step.security) == (
        ":g",
        "/a/c",
        "none",
        "insecure",
    )


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ("target=t", ("bind", ContextSource(), "", "/w/t", True, "")),
        ("type=bind,source=../../x,dst=/t,rw", ("bind", ContextSource(), "x", "/t", False, "")),
        ("from=b,src=/x,target=/t", ("bind", StageSource(0), "x", "/t", True, "")),
        ("from=0,target=/t", ("bind", StageSource(0), "", "/t", True, "")),
        ("from=img,target=/t", ("bind", ImageSource("img", "linux/amd64"), "", "/t", True, "")),
        ("type=cache,target=/$A/", ("cache", ScratchSource(), "", "/v", False, "/v")),
        ("type=cache,target=/c,id=i,ro", ("cache", ScratchSource(), "", "/c", True, "i")),
        ("type=tmpfs,target=/c", ("tmpfs", None, "", "/c", False, "")),
        ("type=secret,id=s", ("secret", None, "", "/run/secrets/s", True, "s")),
        ("type=secret,src=s,target=/x", ("secret", None, "", "/x", True, "s")),
        ("type=secret,target=/x/s", ("secret", None, "", "/x/s", True, "s")),
        ("type=secret,id=s,env=E", ("secret", None, "", "", True, "s")),
        ("type=ssh", ("ssh", None, "", "", True, "default")),
    ],
)
def test_mounts(mount: str, expected: tuple[object, ...]) -> None:
    text = f"FROM scratch AS b\nFROM scratch\nARG A=v\nWORKDIR /w\nRUN --mount={mount} x"
    (step,) = last(text).steps[1:]
    assert isinstance(step, RunStep)
    (found,) = step.mounts
    assert (
        *(found.mount.type, found.source, found.mount.source, found.target),
        *(found.mount.read_only, found.mount.id),
    ) == expected


def test_a_secret_in_a_variable_is_hidden_in_the_title() -> None:
    step = run("ARG T=shown\nRUN --mount=type=secret,id=t,env=S echo $T $S $U")
    assert step.title == "RUN --mount=type=secret,id=t,env=S echo shown **** $U"


@pytest.mark.parametrize(
    ("text", "paths", "destination"),
    [
        ("COPY a b", ("a",), "/w/b"),
        ("COPY /a/ ../b/", ("a",), "/b/"),
        ("COPY . .", (".",), "/w/"),
        ("COPY / ./", (".",), "/w/"),
        ("COPY ../../etc/passwd /", ("etc/passwd",), "/"),
        ("COPY a/*.[ch] b /x/", ("a/*.[ch]", "b"), "/x/"),
        ('COPY ["a b", "$A/"]', ("a b",), "/w/v/"),
        ("COPY --parents a/./b/c d /x/", ("a/./b/c", "././d"), "/x/"),
        ("COPY a ..", ("a",), "/"),
    ],
)
def test_paths(text: str, paths: tuple[str, ...], destination: str) -> None:
    step = copy(f"ARG A=v\nWORKDIR /w\n{text}")
    assert (step.paths, step.destination) == (paths, destination)


def test_copy() -> None:
    step = copy(
        "ARG A=v\nCOPY --chown=$A:1 --chmod=u=rw,go+X --link --exclude=*.x a <<f <<-'g' /d/\n$A \\$A \"q\"\nf\n\t$A\ng"
    )
    assert (step.owner, step.mode, step.is_linked, step.exclude) == (
        "v:1",
        "u=rw,go+X",
        True,
        ("*.x",),
    )
    assert step.files == (File("f", 'v $A "q"\n'), File("g", "$A\n"))


def test_add() -> None:
    text = (
        "ADD --checksum=sha256:" + "0" * 64 + " https://x/a.tar /d\n"
        "ADD git@github.com:a/b.git#v1:sub https://x/r.git l /d/"
    )
    first, second = last("FROM scratch\n" + text).steps
    assert isinstance(first, CopyStep)
    assert isinstance(second, CopyStep)
    assert (first.remotes, first.paths, first.unpacks, first.is_add) == (
        ("https://x/a.tar",),
        (),
        None,
        True,
    )
    assert (second.remotes, second.paths) == (
        ("git@github.com:a/b.git#v1:sub", "https://x/r.git"),
        ("l",),
    )


def test_workdir() -> None:
    stage = last("FROM scratch\nUSER u\nWORKDIR /a//b/\nWORKDIR /")
    (step,) = stage.steps
    assert isinstance(step, WorkdirStep)
    assert (step.path, step.user, stage.config.working_dir) == ("/a/b", "u", "/")


def test_triggers_of_the_base() -> None:
    base = pb.ImageConfig(
        on_build=["ARG A=1", "COPY --from=extra /$A .", "ENV T=$A", "COPY <<E /\nx\nE"]
    )
    text = "FROM scratch AS extra\nRUN x\nFROM busybox\nRUN $T\nONBUILD RUN y\nFROM scratch"
    stages = staged(text, {BUSYBOX: base}, target="1")
    assert [stage.index for stage in stages] == [0, 1]
    stage = stages[1]
    assert list(stage.config.on_build) == ["RUN y"]
    first, second, third = stage.steps
    assert isinstance(first, CopyStep)
    assert isinstance(second, CopyStep)
    assert (first.source, first.paths, first.from_on_build) == (StageSource(0), ("1",), True)
    assert second.files == (File("E", "x\n"),)
    assert isinstance(third, RunStep)
    assert (third.env[1:], third.from_on_build) == (("A=1", "T=1"), False)


def test_triggers_of_a_stage_run_once() -> None:
    stages = staged("FROM scratch AS a\nONBUILD RUN x\nFROM a AS b\nFROM b", {})
    assert [len(stage.steps) for stage in stages] == [0, 1, 0]
    assert [list(stage.config.on_build) for stage in stages] == [["RUN x"], [], []]


def test_labels_of_the_command_line_come_last() -> None:
    stage = last("FROM scratch\nLABEL a=1 b=2", labels={"b": "3"})
    assert dict(stage.config.labels) == {"a": "1", "b": "3"}


def test_scratch_and_images_without_a_path_get_one() -> None:
    assert list(last("FROM scratch").config.env) == [PATH]
    base = pb.ImageConfig(env=["A=1", "PATH=/x"])
    assert list(staged("FROM busybox\nENV A=2", {BUSYBOX: base})[0].config.env) == [
        "A=2",
        "PATH=/x",
    ]


def test_the_epoch() -> None:
    text = "ARG SOURCE_DATE_EPOCH=5\nFROM scratch"
    assert planned(text).source_date_epoch == "5"
    assert planned(text, build_args={"SOURCE_DATE_EPOCH": "7"}).source_date_epoch == "7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "FROM $X",
            "1:6: the image of FROM is empty: $X: give its variables values by --build-arg or ARG",
        ),
        ("ARG BASE=x\nFROM $BSE", "2:6: the image of FROM is empty: $BSE: did you mean $BASE?"),
        ("FROM ${X:?none}", "1:6: X: none: set X, by --build-arg, ARG or ENV"),
        (
            "FROM --platform=amiga x",
            (
                "1:17: the platform amiga: 'amiga' is neither a system nor an architecture: "
                "write linux/amd64, linux/arm64 and the like"
            ),
        ),
        (
            "FROM --platform=$TRGETPLATFORM x",
            "1:17: the platform is empty: $TRGETPLATFORM: did you mean $TARGETPLATFORM?",
        ),
        (
            "FROM x AS a\nCOPY --from=b a b\nFROM a AS b",
            "2:13: 'b' is a later stage: use a stage that is defined before this one",
        ),
        (
            "FROM x AS a\nRUN --mount=from=a,target=/x b",
            "2:18: 'a' is this stage itself: use a stage that is defined before this one",
        ),
        (
            "FROM x\nCOPY --from=7 a b",
            "2:13: there is no stage 7: the stages have the numbers 0 to 0",
        ),
        (
            'FROM x\nENV A="b c',
            '2:7: a double quote that is not closed: close it, or write \\" for the character',
        ),
        (
            "FROM x\nENV A=1 \\\n  B=${A:=2}",
            "3:5: unsupported modifier ':=' in a substitution: use one of :- - :+ + :? ? # ## % %% / //",
        ),
        (
            "FROM x\nARG A=${B?}",
            "2:7: B: is not allowed to be unset: set B, by --build-arg, ARG or ENV",
        ),
        ("FROM x\nEXPOSE $P http", "2:1: 'http' is not a port: write PORT, FIRST-LAST or PORT/udp"),
        ("FROM x\nSTOPSIGNAL SIGFOO", "2:1: 'SIGFOO' is not a signal: write STOPSIGNAL SIGTERM"),
        ("FROM x\nVOLUME data", "2:1: the volume 'data' is not absolute: write VOLUME [\"/PATH\"]"),
        (
            "FROM x\nWORKDIR $X",
            "2:1: WORKDIR has an empty path: set the variables in it, or write WORKDIR /PATH",
        ),
        (
            "FROM x\nCOPY a b c",
            "2:10: there are several sources, and the destination 'c' is not a directory: write c/",
        ),
        (
            "FROM x\nCOPY $X c",
            "2:1: a source or the destination is empty: set the variables in it, or write . for the directory",
        ),
        (
            "FROM x\nCOPY --chmod=999 a b",
            "2:6: invalid mode '999': write it octal, up to 7777, or symbolic: 755, u=rwX,go=rX",
        ),
        ("FROM x\nCOPY https://x/y b", "2:6: COPY cannot fetch 'https://x/y': write ADD"),
        (
            "FROM x\nADD --checksum=sha256:00 https://x/y b",
            "2:5: invalid checksum 'sha256:00': write sha256: and 64 hexadecimal digits",
        ),
        (
            "FROM x\nADD --checksum=sha256:00 a b",
            "2:5: --checksum is for one remote source: write an ADD for each source",
        ),
        (
            "FROM x\nCOPY <<a/b /\na/b",
            "2:8: 'a/b' is not the name of a file: give the here-document a name without slashes",
        ),
        (
            "FROM x\nCOPY <<E /\n${A:?needed}\nE",
            "2:8: in the here-document 'E': A: needed: set A, by --build-arg, ARG or ENV",
        ),
        (
            "FROM x\nRUN --mount=type=tmpfs,target=/ y",
            "2:5: a mount cannot have the target /: write target=/PATH",
        ),
        (
            "FROM x\nRUN --mount=type=$T,target=/x y",
            "2:5: unknown type of mount '': use bind, cache, tmpfs, secret, ssh",
        ),
        (
            "# check=error=true\nFROM x\nMAINTAINER y",
            (
                '3:1: MaintainerDeprecated: write LABEL org.opencontainers.image.authors="..." instead of MAINTAINER: '
                "mend it, or take error=true out of '# check='"
            ),
        ),
        (
            "# check=skip=StageNameCase\nFROM x",
            "1:1: there is no check 'StageNameCase': did you mean StageNameCasing?",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    assert refused(text) == f"Dockerfile:{message}"


def test_a_target_that_is_not_there() -> None:
    assert refused("FROM x AS build\nFROM y", target="biuld") == (
        "Dockerfile:2:1: there is no stage 'biuld', the target: did you mean build?"
    )


@pytest.mark.parametrize(
    "trigger",
    ["FROM y", "RUNN x", "ONBUILD RUN x", "RUN <<E\n", "", "RUN a\nRUN b", "COPY --from=9 a b"],
)
def test_triggers_of_strangers(trigger: str) -> None:
    with pytest.raises(InvalidDockerfile):
        staged("FROM busybox", {BUSYBOX: pb.ImageConfig(on_build=[trigger])})
