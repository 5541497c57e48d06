"""What the engine tells of itself."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from scow.api.container.v1.container_pb2 import InfoResponse
from scow.core.config import Config

# The first one is the default.
_LOG_DRIVERS = ("json-file", "none")
# There from the first moment of a unified hierarchy (cgroups(7)).
_UNIFIED = "/sys/fs/cgroup/cgroup.controllers"


def info(config: Config) -> InfoResponse:
    """Return it."""
    return InfoResponse(
        version=version("scow"),
        python_version=platform.python_version(),
        instance=config.instance,
        root=str(config.root.absolute()),
        cgroup_driver="cgroupfs",
        cgroup_version=2 if os.path.exists(_UNIFIED) else 1,
        log_driver=_LOG_DRIVERS[0],
        log_drivers=_LOG_DRIVERS,
        security_options=["name=seccomp,profile=builtin"],
    )
