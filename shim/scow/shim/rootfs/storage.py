"""The size of a container's writable layer: a project quota on its upper and work directories (ext4, xfs).

Set anew at each start, before anything can be written. Overlayfs writes with the credentials of who mounted it, but
never past a quota (it gives CAP_SYS_RESOURCE up).
"""

from __future__ import annotations

import os

from scow.contract.errors import KernelUnsupported
from scow.kernel import project_quota
from scow.shim.oci.config import Spec
from scow.shim.rootfs import overlay

_KEYS = ("upperdir", "workdir")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def limit(spec: Spec) -> None:
    """Let the writable layer belong to its project, and limit that.

    Raises:
        KernelUnsupported: The file system enforces no such limit.
    """
    if spec.storage is None:
        return
    project, size = spec.storage
    for entry in spec.rootfs:
        for option in entry.options:
            key, _, value = option.partition("=")
            if key in _KEYS:
                _assign(overlay.unescaped(value), project, size)


def _assign(path: str, project: int, size: int) -> None:
    descriptor = os.open(path, _FOLDER)
    try:
        if project_quota.project_of(descriptor) != project:
            # Who is over a limit cannot join it; one may be left of a container that is gone.
            project_quota.set_limits(descriptor, project, 0, 0)
            project_quota.assign(descriptor, project)
        project_quota.set_limits(descriptor, project, size, 0)
    except OSError as error:
        raise KernelUnsupported(
            f"the size of the writable layer cannot be limited: {error.strerror}",
            what="storage option",
            which=path,
            do="mount the engine's root with prjquota, or leave --storage-opt out",
        ) from error
    finally:
        os.close(descriptor)
