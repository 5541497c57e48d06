"""Kernel parameters of the container's own namespaces (sysctl(8) names)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scow.contract.errors import InvalidConfig
from scow.shim.errors import from_os_error

_NAME = re.compile(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:@-]+)+")
_IPC = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
_UTS = ("kernel.domainname", "kernel.hostname")


def apply(values: Mapping[str, str], own: set[str]) -> None:
    """Write the parameters; `own` names the namespaces ("network", "ipc", "uts") that the container has.

    Runs before the pivot, so /proc/sys is the host's, and shows the namespaces of this process. A parameter
    that no own namespace holds would change the host and is refused.
    """
    for name, value in values.items():
        if not _NAME.fullmatch(name) or not _is_namespaced(name.replace("/", "."), own):
            text = f"the sysctl {name} is not one of a namespace of the container's own"
            raise InvalidConfig(text, what="sysctl", which=name)
        path = "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(value)
        except OSError as error:
            raise from_os_error(
                error, f"set the sysctl {name}", what="sysctl", which=name
            ) from error


def _is_namespaced(name: str, own: set[str]) -> bool:
    return (
        (name.startswith("net.") and "network" in own)
        or (name.startswith(_IPC) and "ipc" in own)
        or (name in _UTS and "uts" in own)
    )
