"""A volume, as `docker volume inspect` has it."""

from __future__ import annotations

from scow.words.shapes.common import mapping_or_nil, time_of
from scow.words.template.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.volume.v1.volume_pb2 import Volume


def volume_shape(volume: Volume) -> Struct:
    """Return a volume in Docker's shape."""
    return Struct(
        CreatedAt=time_of(volume, "created_at"),
        Driver=volume.driver or "local",
        Labels=mapping_or_nil(volume.labels),
        Mountpoint=volume.mountpoint,
        Name=volume.name,
        Options=mapping_or_nil(volume.options),
        Scope="local",
    )
