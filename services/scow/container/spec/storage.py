"""`storage_opts`: how much a container may write into its own layer, by project quotas of the file system."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import Mount
from scow.container.model.invalid import invalid
from scow.contract.errors import KernelUnsupported
from scow.kernel import project_quota
from scow.words.units import parse_size

_FIELD = "storage_opts"
_UPPER = "upperdir="
# Less does not take what the engine itself puts there.
_LEAST = 1 << 20
# Numbers of projects that are taken, apart from those of volumes; administrators mostly count from 1.
_FIRST, _LAST = 0x5C00_0000, 0x6000_0000


def size(config: ContainerConfig) -> int:
    """Return the bytes of the writable layer; 0: no limit.

    Raises:
        InvalidConfig: Another option, or no such size.
    """
    for key in config.storage_opts:
        if key.lower() != "size":
            raise invalid(_FIELD, f"has the unknown option {key!r}", "use size=BYTES")
    for text in config.storage_opts.values():
        try:
            found = parse_size(text)
        except ValueError as error:
            raise invalid(_FIELD, f"has {error}", "use size=10g or bytes") from None
        if not _LEAST <= found < 1 << 62:
            raise invalid(_FIELD, f"has the size {text!r}", "use 1m or more")
        return found
    return 0


def check(mounts: Iterable[Mount]) -> None:
    """Refuse a limit that the file system of the layers does not enforce.

    Args:
        mounts: What the root file system is made of.

    Raises:
        KernelUnsupported: It does not.
    """
    upper = next(
        (o.removeprefix(_UPPER) for m in mounts for o in m.options if o.startswith(_UPPER)), ""
    )
    check_folder(re.sub(r"\\(.)", r"\1", upper))


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse a limit that the file system of a folder does not enforce.

    Raises:
        KernelUnsupported: It does not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        enforced = project_quota.enforced(descriptor)
    finally:
        os.close(descriptor)
    if not enforced:
        raise KernelUnsupported(
            "the file system of the engine's root enforces no limits of projects",
            what="storage option",
            which="size",
            do="mount it with prjquota: ext4 made with -O quota,project, or xfs",
        )


def project(taken: Iterable[int]) -> int:
    """Return the number of a project that no container has."""
    used = set(taken)
    return next(number for number in range(_FIRST, _LAST) if number not in used)
