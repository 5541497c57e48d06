"""Dockerfile instructions that change an image's configuration: `--change` of import and commit."""

from __future__ import annotations

from collections.abc import Iterable

from scow.api.image.v1 import image_pb2 as pb
from scow.contract.errors import InvalidArgument, InvalidDockerfile
from scow.words.dockerfile import configuration, parser, syntax
from scow.words.dockerfile.expansion import Mode, Scope
from scow.words.dockerfile.problem import Problem
from scow.words.dockerfile.substitution import substituted

# Instructions that change files, or are no part of a configuration.
_REFUSED = (syntax.Add, syntax.Arg, syntax.Copy, syntax.Maintainer, syntax.Run)
_TAKEN = "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR"


def apply(config: pb.ImageConfig, changes: Iterable[str]) -> None:
    """Apply instructions, one after the other.

    Raises:
        InvalidArgument: An instruction that is unknown, cannot be read, or changes no configuration.
    """
    command_given = False
    for change in changes:
        try:
            instruction = parser.parse_instruction(change)
        except InvalidDockerfile as error:
            why = error.message.partition(": ")[2]  # what precedes it is the position
            raise _bad(change, why, error.metadata.get("do", "")) from None
        if isinstance(instruction, _REFUSED):
            raise _bad(change, "it does not change the configuration", f"use {_TAKEN}")
        try:
            scope = Scope(configuration.variables(config))
            instruction = substituted(instruction, scope, Mode())
            configuration.apply(config, instruction, keeps_command=command_given)
        except Problem as problem:
            raise _bad(change, problem.message, problem.do) from None
        command_given |= isinstance(instruction, syntax.Cmd)


def _bad(change: str, why: str, do: str) -> InvalidArgument:
    return InvalidArgument(f"the change {change!r}: {why}", what="change", which=change, do=do)
