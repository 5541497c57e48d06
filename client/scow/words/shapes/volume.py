"""A volume, as `docker volume inspect` has it."""

from __future__ import annotations

from scow.words.shapes.common import mapping_or_nil, time_of
from scow.words.template.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.api.volume.v1.volume_pb2 import Volume, VolumeUse


def volume_shape(volume: Volume, names: Mapping[str, str] | None = None) -> Struct:
    """Return a volume in Docker's shape, with scow's own `Uses`, which containers have it where, and `Fault`, why not.

    Args:
        volume: Which one.
        names: Of containers, by id.
    """
    return Struct(
        CreatedAt=time_of(volume, "created_at"),
        Driver=volume.driver or "local",
        Labels=mapping_or_nil(volume.labels),
        Mountpoint=volume.mountpoint,
        Name=volume.name,
        Options=mapping_or_nil(volume.options),
        Scope=volume.scope or "local",
        Fault=volume.fault,
        Uses=[_use(use, names or {}) for use in volume.uses],
    )


def _use(use: VolumeUse, names: Mapping[str, str]) -> Struct:
    container = use.owner.removeprefix("container/")
    return Struct(
        Container=container,
        Name=names.get(container, ""),
        Target=use.target,
        RW=not use.read_only,
        Exclusive=use.exclusive,
        Mounted=use.mounted,
    )
