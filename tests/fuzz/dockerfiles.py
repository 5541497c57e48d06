"""Targets and seeds of the Dockerfile language: files, words with variables, ignore rules."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile

from scow.api.image.v1 import image_pb2 as pb
from scow.build.context import archive
from scow.build.frontend.plan import Plan
from scow.build.frontend.steps import BaseImage, CopyStep, RunStep, WorkdirStep
from scow.build.frontend.variables import Options
from scow.contract.errors import InvalidContext, InvalidDockerfile, LimitExceeded
from scow.words import ignore, match
from scow.words.dockerfile import expansion, parser
from scow.words.dockerfile.problem import Problem
from tests.unit.words.dockerfile.cases import wrong

_VALUES = {"A": "a", "EMPTY": "", "P": "/usr/local/bin:/bin", "STAR": "*?\\"}
_OPTIONS = Options(build_args={"V": "1", "HTTP_PROXY": "p"}, all_stages=True)
_TRIGGERS = pb.ImageConfig(on_build=["COPY . $A", "RUN <<E\nx\nE"], env=["A=/a"])


def dockerfile(data: bytes) -> None:
    """A file is refused with a place in it, or every stage has steps that lead nowhere else."""
    try:
        found = parser.parse(data)
        plan = Plan(found, _OPTIONS)
        while wanted := plan.missing():
            for source in wanted:
                plan.provide(source, BaseImage(_TRIGGERS))
        stages = plan.stages()
    except InvalidDockerfile as error:
        error.to_details()
        assert int(error.metadata["line"]) >= 1
        assert int(error.metadata["column"]) >= 1
        return
    assert stages[-1].index == plan.target == len(found.stages) - 1
    for stage in stages:
        assert all(need < stage.index for need in stage.needs)
        assert pb.ImageConfig.FromString(stage.config.SerializeToString()) == stage.config
        for step in stage.steps:
            _check_step(step)
    for finding in plan.findings():
        assert 1 <= finding.position.line <= len(found.lines)


def _check_step(step: object) -> None:
    if isinstance(step, RunStep):
        assert step.workdir.startswith("/")
        assert all(mount.target.startswith("/") or not mount.target for mount in step.mounts)
    elif isinstance(step, CopyStep):
        assert step.destination.startswith("/")
        for path in (*step.paths, step.destination):
            assert ".." not in path.split("/")
    else:
        assert isinstance(step, WorkdirStep)
        assert step.path.startswith("/")


def expand(data: bytes) -> None:
    """Words are replaced or refused at a place in them, within bounds."""
    text = data.decode("utf-8", "replace")
    for mode in (expansion.Mode(), expansion.Mode("`", keeps_unset=True), expansion.DOCUMENT):
        try:
            found = expansion.word(text, _VALUES, mode)
            assert len(found) <= expansion.LENGTH_MAX
            assert "".join(expansion.words(text, _VALUES, mode)).split() is not None
        except Problem as problem:
            assert 0 <= problem.offset <= len(text)


def ignored(data: bytes) -> None:
    """The first line is a path, the others are rules: walking and looking up say the same."""
    path, _, rules = data.partition(b"\n")
    try:
        found = ignore.Ignore.parse(rules)
    except ignore.InvalidIgnoreError as error:
        assert error.line >= 1
        return
    parts = [
        part for part in path.decode("utf-8", "replace").split("/") if part not in ("", ".", "..")
    ]
    decided = ignore.UNTOUCHED
    for count in range(1, len(parts) + 1):
        above, decided = decided, found.decide("/".join(parts[:count]), decided)
        if found.is_excluded(above) and not found.is_excluded(decided):
            assert found.may_contain("/".join(parts[: count - 1]), above)
    if parts:
        assert found.excludes("/".join(parts)) == found.is_excluded(decided)
    try:
        match.Pattern(rules.decode("utf-8", "replace")).matches("/".join(parts))
    except match.BadPatternError:
        return


def context(data: bytes) -> None:
    """A tar is refused, or its tree has what it has: names within it, directories of all, contents of all files."""
    with tempfile.TemporaryDirectory(prefix="scow-fuzz-") as folder:
        try:
            tree, contents = archive.unpack(io.BytesIO(data), "fuzz", folder)
        except (InvalidContext, LimitExceeded) as error:
            error.to_details()
            return
        try:
            for path, entry in tree.entries.items():
                assert b".." not in path.split(b"/")
                assert not path.startswith(b"/")
                parent = tree.entries[path.rpartition(b"/")[0]]
                assert parent.is_directory
                if entry.is_file:
                    found = os.pread(contents.descriptor, entry.size, entry.place[0])
                    assert hashlib.sha256(found).digest() == entry.digest
        finally:
            contents.close()
        assert os.listdir(folder) == []


_FILE = b"""# syntax=docker/dockerfile:1
# check=skip=all
ARG V=1
FROM --platform=$BUILDPLATFORM busybox:$V AS build
ARG V W=${V:-x}
RUN --mount=type=cache,target=/c,id=$V --mount=type=secret,id=s,env=S --network=none <<EOF
echo $V
EOF
COPY --chown=1:2 --chmod=u=rwX --exclude=*.o a* ["b"] /d/
COPY <<a <<-'b' /d/
$V
a
\tb
\tb
FROM scratch
COPY --from=build --parents a/./b /x/
ADD --checksum=sha256:00 https://example.com/x.git#v1 /y
ENV A=1 B="$A b" C=\\ x
WORKDIR a/$A
ENTRYPOINT ["a"]
CMD b \\
# comment

  c
HEALTHCHECK --interval=5s --retries=3 CMD x
EXPOSE 80 90-91/udp
VOLUME ["/v"]
STOPSIGNAL SIGTERM
SHELL ["sh", "-c"]
ONBUILD COPY . .
LABEL a b
USER $A
"""
_WORDS = """
$A ${A} ${NONE:-x} ${A:+$P} ${NONE-"x y"} ${A:?no} '$A' "\\$A" \\q
${P%/*} ${P%%:*} ${P#*/} ${P##*/} ${P/bin/x} ${P//\\//:} ${STAR#$STAR}
${A:-${B:-${C}}} ${ ${} $
"""
_IGNORED = """a/b/c
*
!a
**/c
a/*/[a-c]?
#x

a/x.c
*.c
!**/x*
**
"""
TARGETS = {"dockerfile": dockerfile, "expand": expand, "ignore": ignored, "context": context}
SEEDS = {
    "dockerfile": [_FILE, *(given.encode() for given, _ in wrong())],
    "expand": [line.encode() for line in _WORDS.strip().split("\n")],
    "ignore": [text.encode() for text in _IGNORED.split("\n\n")],
}
