"""The OCI runtime configuration (config.json) of a container, made anew at each start."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.container.spec import (
    capabilities,
    cdi,
    device_rules,
    limits,
    mounts,
    seccomp,
    security_options,
    storage,
)
from scow.container.spec import devices as devicelist
from scow.container.spec import namespaces as modes
from scow.container.spec import process as defaults
from scow.contract.errors import InvalidArgument

# Characters of a variable (MAX_ARG_STRLEN of linux/binfmts.h).
_VARIABLE_MAX = 128 << 10
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# Docker's: in a network of its own a container may do what only root may do in the host's.
_NETWORK_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


@dataclass(frozen=True)
class Surroundings:
    """What is known only when the container starts.

    Attributes:
        bundle: Folder of the bundle.
        joined: Paths of namespaces to join, by OCI type ("network", "pid", "ipc").
        window: Rows and columns of the terminal.
        linked: Variables about linked containers.
        cdi: Folders with specifications of devices.
    """

    bundle: Path
    joined: dict[str, str] = field(default_factory=dict)
    window: tuple[int, int] = (0, 0)
    linked: tuple[str, ...] = ()
    cdi: tuple[Path, ...] = cdi.DIRECTORIES


def make(described: pb.Container, volumes: Sequence[Mount], around: Surroundings) -> dict[str, Any]:
    """Return the configuration.

    Args:
        described: The container.
        volumes: What the volume service resolved its mounts to.
        around: See Surroundings.

    Raises:
        InvalidConfig: A field that cannot be met.
        KernelUnsupported: Something that this kernel does not have.
        NotFound: A device that the host does not have.
    """
    config = described.config
    options = security_options.parse(config.security_opts)
    injected = cdi.edits(config.cdi_devices, around.cdi)
    chosen = capabilities.choose(config.cap_add, config.cap_drop, config.privileged)
    spec: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "process": _process(described, options, chosen, around, injected),
        "root": {"path": str(around.bundle / "rootfs"), "readonly": config.read_only},
        "mounts": [
            *(mounts.entry(m) for m in mounts.make(config, volumes, around.joined.get("ipc", ""))),
            *injected.mounts,
        ],
        "annotations": _annotations(described),
        "linux": _linux(described, options, chosen, around, injected),
    }
    if injected.hooks:
        spec["hooks"] = injected.hooks
    if modes.uts(config).kind == "private":
        spec["hostname"] = described.hostname
        if config.domainname:
            spec["domainname"] = config.domainname
    return spec


def _process(
    described: pb.Container,
    options: security_options.Options,
    chosen: Sequence[str],
    around: Surroundings,
    injected: cdi.Edits,
) -> dict[str, Any]:
    config = described.config
    sets = {kind: list(chosen) for kind in ("bounding", "effective", "permitted")}
    user: dict[str, Any] = {"uid": 0, "gid": 0, "username": described.user or "0"}
    if config.HasField("umask"):
        user["umask"] = config.umask
    if injected.gids:
        user["additionalGids"] = injected.gids
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": user,
        "args": list(described.args),
        "env": [
            *defaults.process_env(described, tty=config.tty, linked=around.linked),
            *_of_files(config),
            *injected.env,
        ],
        "cwd": described.working_dir,
        "capabilities": sets,
        "noNewPrivileges": options.no_new_privileges,
        "oomScoreAdj": config.oom_score_adj,
        "rlimits": limits.rlimits_of(config.ulimits),
    }
    if config.tty and all(around.window):
        process["consoleSize"] = {"height": around.window[0], "width": around.window[1]}
    profile = security_options.apparmor_profile(options, config.privileged)
    if profile:
        process["apparmorProfile"] = profile
    return process


def _of_files(config: pb.ContainerConfig) -> list[str]:
    """Return the variables whose values are in files.

    Raises:
        InvalidArgument: A file that cannot be read, or is longer than a variable may be.
    """
    found = []
    for name, path in sorted(config.env_files.items()):
        try:
            # A FIFO would let everybody wait.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, encoding="utf-8") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise _unreadable(name, "it is not a file")
                text = file.read(_VARIABLE_MAX + 1)
        except (OSError, ValueError) as error:
            raise _unreadable(name, str(error)) from None
        if len(text) > _VARIABLE_MAX or "\0" in text:
            raise _unreadable(name, "it is too long, or no text")
        found.append(f"{name}={text}")
    return found


def _unreadable(name: str, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"the file of the variable {name} cannot be used: {why}",
        what="variable",
        which=name,
        do="give a file with text of at most 128 KiB",
    )


def _annotations(described: pb.Container) -> dict[str, str]:
    config, annotations = described.config, {}
    if described.storage_project:
        annotations["scow.storage"] = f"{described.storage_project}:{storage.size(config)}"
    if config.init:
        annotations["scow.init"] = "true"
    if config.group_add:
        annotations["scow.groups"] = ",".join(config.group_add)
    return annotations


def _linux(
    described: pb.Container,
    options: security_options.Options,
    chosen: Sequence[str],
    around: Surroundings,
    injected: cdi.Edits,
) -> dict[str, Any]:
    config = described.config
    nodes, rules = devicelist.nodes(config.devices, privileged=config.privileged)
    nodes += injected.nodes
    rules += injected.rules
    rules += device_rules.parse(config.resources.device_cgroup_rules)
    linux: dict[str, Any] = {
        "namespaces": namespaces(described, around.joined),
        "devices": nodes,
        "resources": {**limits.resources_of(config.resources), "devices": rules},
        "sysctl": sysctls(config),
        "rootfsPropagation": mounts.propagation(described),
    }
    if described.HasField("id_range"):
        ids = described.id_range
        mapping = [{"containerID": 0, "hostID": ids.first, "size": ids.size}]
        linux["uidMappings"] = linux["gidMappings"] = mapping
    if config.time_offsets:
        linux["timeOffsets"] = {
            clock: dict(zip(("secs", "nanosecs"), divmod(offset, 10**9), strict=True))
            for clock, offset in config.time_offsets.items()
        }
    if not (config.privileged or options.show_system_paths):
        linux["maskedPaths"] = list(_MASKED)
        linux["readonlyPaths"] = list(_READ_ONLY)
    profile = _seccomp(config, options, chosen)
    if profile is not None:
        linux["seccomp"] = profile
    return linux


def _seccomp(
    config: pb.ContainerConfig, options: security_options.Options, chosen: Sequence[str]
) -> dict[str, Any] | None:
    if options.seccomp == "unconfined" or (config.privileged and not options.seccomp):
        return None
    if options.seccomp:
        return seccomp.custom(options.seccomp, chosen)
    return seccomp.default(chosen)


def namespaces(described: pb.Container, joined: dict[str, str]) -> list[dict[str, str]]:
    """Return OCI `linux.namespaces`: a new one, one that is joined, or (absent) the host's."""
    config = described.config
    wanted = {
        "pid": modes.pid(config),
        "network": modes.network(config),
        "ipc": modes.ipc(config),
        "uts": modes.uts(config),
        "cgroup": modes.cgroup(config),
    }
    found = [{"type": "mount"}]
    for kind, mode in wanted.items():
        if mode.kind == "container":
            found.append({"type": kind, "path": joined[kind]})
        elif mode.kind != "host":
            found.append({"type": kind})
    if described.HasField("id_range"):
        user = {"path": joined["user"]} if "user" in joined else {}
        found.append({"type": "user", **user})
    if config.time_offsets:
        found.append({"type": "time"})
    return found


def sysctls(config: pb.ContainerConfig) -> dict[str, str]:
    """Return the kernel parameters to set."""
    own_network = modes.network(config).kind in ("network", "none")
    return {**(_NETWORK_SYSCTLS if own_network else {}), **config.sysctls}
