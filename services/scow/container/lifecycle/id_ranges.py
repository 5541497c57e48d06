"""Ranges of the host's ids for user namespaces: one for each container, which keeps it for its life."""

from __future__ import annotations

import os
from collections.abc import Iterable

from scow.api.container.v1 import container_pb2 as pb
from scow.container.model.containers import Containers
from scow.container.model.invalid import invalid
from scow.container.spec import namespaces
from scow.contract.errors import KernelUnsupported, ResourceExhausted
from scow.core.config import ContainerSection

# The kernel's last id is no id (user_namespaces(7)).
_ID_MAX = (1 << 32) - 2
# Overlays of layers with mapped ids.
_KERNEL = (5, 19)


def choose(
    config: pb.ContainerConfig, containers: Containers, section: ContainerSection
) -> pb.IdRange | None:
    """Return the ids of a container's user namespace; None when it has the host's.

    What is returned is nobody else's as long as the container is recorded before anything else is awaited.

    Raises:
        InvalidConfig: The mode or the range is wrong, or something else of the configuration forbids it.
        KernelUnsupported: The kernel cannot map ids of layers.
        ContainerNotFound: The container whose namespace is to be joined is unknown.
        ResourceExhausted: All ranges are taken.
    """
    mode = namespaces.user(config, section.userns)
    if mode.kind == "container":
        other = containers.find(mode.name).described
        return other.id_range if other.HasField("id_range") else None
    if mode.kind == "host":
        return None
    if config.privileged:
        raise invalid(
            "privileged",
            "is incompatible with user namespaces",
            "run the container in the host's user namespace: userns_mode host",
        )
    _check_kernel(os.uname().release)
    taken = [each.described.id_range for each in containers.all()]
    if mode.kind == "range":
        return _given(mode.name, taken)
    return _free(section, taken)


def _check_kernel(release: str) -> None:
    numbers = release.split("-")[0].split(".")[:2]
    if all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) < _KERNEL:
        raise KernelUnsupported(
            f"user namespaces take Linux 5.19, and this is {release}",
            what="namespace",
            which="user",
            do="use --userns host",
        )


def _given(text: str, taken: Iterable[pb.IdRange]) -> pb.IdRange:
    """Return a range that was asked for; another container's is refused, whose files it could read."""
    first, _, size = text.partition(":")
    numbers = [int(part) for part in (first, size) if part.isascii() and part.isdigit()]
    if len(numbers) < 2 or len(text) > 24 or not (numbers[0] > 0 and numbers[1] > 0):
        raise invalid("userns_mode", f"has the range {text!r}", "use private:FIRST:SIZE")
    if sum(numbers) - 1 > _ID_MAX:
        raise invalid("userns_mode", f"has ids above {_ID_MAX}", "use a lower range")
    wanted = pb.IdRange(first=numbers[0], size=numbers[1])
    for other in taken:
        if _overlap(wanted, other):
            raise invalid(
                "userns_mode",
                f"has ids of another container, {other.first} to {other.first + other.size - 1}",
                "use other ids, or join that container's namespace with container:NAME",
            )
    return wanted


def _free(section: ContainerSection, taken: Iterable[pb.IdRange]) -> pb.IdRange:
    size = section.userns_size
    used = [each for each in taken if each.size]
    # Those of the pool by their number: a list is gone through once.
    numbers = {
        number
        for each in used
        for number in range(
            max(each.first - section.userns_first, 0) // size,
            min(
                max(each.first + each.size - section.userns_first + size - 1, 0) // size,
                section.userns_ranges,
            ),
        )
    }
    for number in range(section.userns_ranges):
        if number not in numbers:
            return pb.IdRange(first=section.userns_first + number * size, size=size)
    raise ResourceExhausted(
        f"all {section.userns_ranges} ranges of ids for user namespaces are taken",
        what="id range",
        which=str(section.userns_first),
        do="remove containers, or raise container.userns_ranges",
    )


def _overlap(one: pb.IdRange, other: pb.IdRange) -> bool:
    return one.first < other.first + other.size and other.first < one.first + one.size
