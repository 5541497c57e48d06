"""What the engine tells of itself."""

from __future__ import annotations

import platform

from scow.api.container.v1.container_pb2 import InfoResponse
from scow.container.logs import options
from scow.container.query.machine import machine, security_options, support, warnings
from scow.container.spec.kernel_limits import is_unified
from scow.core.config import Config


def info(config: Config) -> InfoResponse:
    """Return it."""
    # Not above: 27 ms of each start of the service, and nobody may ever ask.
    from importlib.metadata import version

    supported = support()
    return InfoResponse(
        version=version("scow"),
        python_version=platform.python_version(),
        instance=config.instance,
        root=str(config.root.absolute()),
        cgroup_driver="cgroupfs",
        cgroup_version=2 if is_unified() else 1,
        log_driver=config.container.log_driver,
        log_drivers=options.DRIVERS,
        security_options=security_options(),
        machine=machine(),
        support=supported,
        warnings=warnings(supported),
    )
