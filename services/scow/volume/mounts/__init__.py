"""What a container asks to have mounted: `requests` checks it, `resolution` says what mount(2) is to be told.

Nothing is mounted here: the shim mounts, inside the container's own mount namespace.
"""

from scow.volume.mounts.requests import check, check_all
from scow.volume.mounts.resolution import bind, image, tmpfs, volume

__all__ = ["bind", "check", "check_all", "image", "tmpfs", "volume"]
