"""Dockerfiles of real shape: each is planned, without an error and without a step too few."""

from __future__ import annotations

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend.plan import Plan
from scow.build.frontend.steps import BaseImage, BuildStage, CopyStep, StageSource
from scow.build.frontend.variables import Options
from scow.words.dockerfile import parser
from tests.support import dockerfiles

# Stages, steps, stages that the last one needs by itself.
SHAPES = {
    "c_two_stages": (2, 5, (0,)),
    "configuration": (1, 2, ()),
    "course": (1, 3, ()),
    "nginx_site": (1, 4, ()),
    "node_app": (2, 5, (0,)),
    "postgresql": (1, 3, ()),
    "python_app": (3, 9, (0, 1)),
    "redis": (1, 5, ()),
    "sixty_steps": (1, 59, ()),
    "twelve_stages": (13, 24, tuple(range(12))),
}


def stages(name: str) -> tuple[BuildStage, ...]:
    plan = Plan(parser.parse(dockerfiles.dockerfile(name)), Options())
    while wanted := plan.missing():
        for source in wanted:
            plan.provide(source, BaseImage(pb.ImageConfig()))
    return plan.stages()


def test_each_has_a_shape() -> None:
    assert set(SHAPES) == set(dockerfiles.CORPUS)


@pytest.mark.parametrize("name", dockerfiles.CORPUS)
def test_shape(name: str) -> None:
    built = stages(name)
    assert (len(built), sum(len(stage.steps) for stage in built), built[-1].needs) == SHAPES[name]


@pytest.mark.parametrize("name", dockerfiles.CORPUS)
def test_the_context_has_what_is_copied(name: str) -> None:
    for stage in stages(name):
        for step in stage.steps:
            if isinstance(step, CopyStep) and not isinstance(step.source, StageSource):
                for path in set(step.paths) - {"."}:
                    assert list(dockerfiles.folder(name).glob(path)), path
