"""Build checks: the published names and meanings."""

from __future__ import annotations

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend.findings import RULES, Finding, Policy
from scow.build.frontend.plan import Plan
from scow.build.frontend.steps import BaseImage
from scow.build.frontend.variables import Options
from scow.words.dockerfile import parser
from scow.words.ignore import Ignore


def found(text: str, *, is_known: bool = True, **build_args: str) -> list[Finding]:
    plan = Plan(parser.parse(text.encode()), Options(build_args=build_args, all_stages=True))
    while wanted := plan.missing():
        for source in wanted:
            plan.provide(source, BaseImage(pb.ImageConfig(), is_known=is_known))
    plan.stages()
    return list(plan.findings())


CASES = [
    ("FROM x AS Build", "StageNameCasing", 1),
    ("FROM x as build", "FromAsCasing", 1),
    ("from x AS build", "FromAsCasing", 1),
    ("FROM x\nRUN a \\\n\n  b", "NoEmptyContinuation", 3),
    ("FROM x\nrun a\nRUN b", "ConsistentInstructionCasing", 2),
    ("FROM x\nRun a", "ConsistentInstructionCasing", 2),
    ("FROM x AS a\nFROM y AS a", "DuplicateStageName", 2),
    ("FROM x AS context", "ReservedStageName", 1),
    ("FROM x\nCMD a", "JSONArgsRecommended", 2),
    ("FROM x\nENTRYPOINT a", "JSONArgsRecommended", 2),
    ("FROM x\nMAINTAINER a", "MaintainerDeprecated", 2),
    ("FROM x${V}", "UndefinedArgInFrom", 1),
    ("FROM x\nENV A=$B", "UndefinedVar", 2),
    ("FROM x\nCOPY $B/ /", "UndefinedVar", 2),
    ("FROM x\nARG A=$B", "UndefinedVar", 2),
    ("FROM x\nWORKDIR a", "WorkdirRelativePath", 2),
    ('FROM x\nCMD ["a"]\nCMD ["b"]', "MultipleInstructionsDisallowed", 2),
    ("FROM x\nHEALTHCHECK NONE\nHEALTHCHECK NONE", "MultipleInstructionsDisallowed", 2),
    ("FROM x\nENV a b", "LegacyKeyValueFormat", 2),
    ("FROM x\nLABEL a b", "LegacyKeyValueFormat", 2),
    ("FROM --platform=$TARGETPLATFORM x", "RedundantTargetPlatform", 1),
    ("FROM x\nARG GITHUB_TOKEN", "SecretsUsedInArgOrEnv", 2),
    ("FROM x\nENV db_password=1", "SecretsUsedInArgOrEnv", 2),
    ("ARG V\nFROM x:$V", "InvalidDefaultArgInFrom", 2),
    ("FROM --platform=linux/amd64 x", "FromPlatformFlagConstDisallowed", 1),
    ("# check=experimental=all\n\n# other\nFROM x AS a", "InvalidDefinitionDescription", 4),
    ("# check=experimental=all\n\nFROM x\n# other\nARG a", "InvalidDefinitionDescription", 5),
    ("FROM x\nEXPOSE 80/TCP", "ExposeProtoCasing", 2),
    ("FROM x\nEXPOSE 127.0.0.1:80:80", "ExposeInvalidFormat", 2),
]


@pytest.mark.parametrize(("text", "rule", "line"), CASES)
def test_found(text: str, rule: str, line: int) -> None:
    (finding,) = found(text, V="1")
    assert (finding.rule, finding.position.line) == (rule, line)
    assert text.split("\n")[line - 1][:20].strip() in finding.excerpt
    text = text.removeprefix("# check=experimental=all\n")
    assert found(f"# check=skip={rule};experimental=all\n{text}", V="1") == []


@pytest.mark.parametrize(
    "text",
    [
        "from x as build\nrun a",
        "FROM x AS build\nRUN a \\\n# comment\n  b",
        'FROM x\nSHELL ["bash"]\nCMD a',
        'FROM x\nCMD ["a"]\nENTRYPOINT ["b"]',
        "FROM x\nARG A\nENV B=$A C=$PATH D=${E:-}".replace("${E:-}", "d"),
        "FROM x\nRUN echo $NOT_OURS",
        "FROM x\nWORKDIR /a\nWORKDIR b",
        "FROM x\nARG PUBLIC_KEY TOKEN_FILE",
        "FROM --platform=linux/amd64 x AS linux-amd64",
        "FROM --platform=$BUILDPLATFORM x",
        "ARG V=1\nFROM x:$V",
        "# other\nFROM x AS a",
        "FROM x AS a\nFROM a AS b\nENV A=1\nFROM b\nENV C=$A",
    ],
)
def test_nothing_to_find(text: str) -> None:
    assert found(text) == []


def test_unknown_bases_leave_variables_alone() -> None:
    assert found("FROM x\nENV A=$JAVA_HOME", is_known=False) == []


def test_suggestions() -> None:
    assert (
        found("FROM x\nENV HOME_DIR=1\nENV A=$HOMEDIR")[0].message
        == "'$HOMEDIR' is not defined (did you mean $HOME_DIR?)"
    )
    assert found("ARG VER=1\nFROM x$VRE")[0].message == (
        "'$VRE' is not declared by an ARG before FROM (did you mean $VER?)"
    )


def test_every_published_check_has_a_case() -> None:
    # Those two need the ignore file and the base image: see below.
    assert {rule for _, rule, _ in CASES} == set(RULES) - {
        "CopyIgnoredFile",
        "InvalidBaseImagePlatform",
    }


def test_what_is_left_out_of_the_context() -> None:
    text = b"FROM scratch\nCOPY a/b .\nCOPY c *.x . /\nCOPY --from=img a/b /\nADD d /\n"
    for lines, expected in ((["a", "d"], [2, 5]), (["a", "!a/b"], []), ([], [])):
        plan = Plan(parser.parse(text), Options(ignore=Ignore(lines)))
        plan.stages()
        found = [(finding.rule, finding.position.line) for finding in plan.findings()]
        assert found == [("CopyIgnoredFile", line) for line in expected]


def test_a_base_for_another_platform() -> None:
    plan = Plan(parser.parse(b"FROM x\nRUN y"), Options(platform="linux/arm64"))
    (source,) = plan.missing()
    plan.provide(source, BaseImage(pb.ImageConfig(), platform="linux/amd64"))
    plan.stages()
    (finding,) = plan.findings()
    assert (finding.rule, finding.message) == (
        "InvalidBaseImagePlatform",
        "the image x is for linux/amd64, not linux/arm64",
    )


def test_addresses() -> None:
    (finding,) = found("FROM x\nCMD a")
    assert finding.url == "https://docs.docker.com/reference/build-checks/json-args-recommended/"
    assert finding.description.startswith("CMD and ENTRYPOINT")


@pytest.mark.parametrize("text", ["skip", "skip=nope", "error=perhaps", "fail=true"])
def test_policies_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r": (write|did|use)"):
        Policy.parse(text)
