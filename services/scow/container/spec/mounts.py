"""What is mounted into a container: the kernel's file systems as Docker mounts them, then volumes and binds."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.container.spec import namespaces
from scow.contract import paths

_SHM_SIZE = 64 << 20
_SHARED = frozenset({"shared", "rshared"})
_SLAVE = frozenset({"slave", "rslave"})
# Network files: what Attach names, and where it goes.
_FILES = (
    ("resolv_conf_path", "/etc/resolv.conf"),
    ("hostname_path", "/etc/hostname"),
    ("hosts_path", "/etc/hosts"),
)


def make(config: pb.ContainerConfig, volumes: Sequence[Mount], joined_ipc: str = "") -> list[Mount]:
    """Return all mounts that are known before the network is, in the order of mounting.

    A volume at the place of a default mount replaces it, with all that is below.

    Args:
        config: Of the container.
        volumes: What the volume service resolved its mounts to.
        joined_ipc: The ipc namespace of another container that it joins, /proc/PID/ns/ipc.
    """
    targets = [paths.shortest(mount.destination) for mount in volumes]
    base = [
        mount
        for mount in _base(config, joined_ipc)
        if not any(_covers(target, mount.destination) for target in targets)
    ]
    ordered = sorted(volumes, key=lambda mount: paths.shortest(mount.destination).count("/"))
    return [*base, *map(_detachable, ordered)]


def _detachable(mount: Mount) -> Mount:
    marked = Mount()
    marked.CopyFrom(mount)
    marked.options.append("scow.detachable")
    return marked


def _covers(target: str, path: str) -> bool:
    return path == target or path.startswith(target.rstrip("/") + "/")


def _base(config: pb.ContainerConfig, joined_ipc: str) -> list[Mount]:
    access = "rw" if config.privileged else "ro"
    hard = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", "proc", hard),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", "sysfs", [*hard, access]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*hard, access]),
        *_ipc(config, joined_ipc, hard),
    ]


def _ipc(config: pb.ContainerConfig, joined: str, hard: list[str]) -> list[Mount]:
    # A new mount shows the queues of the ipc namespace that it is made in, the host's or another container's too.
    queue = _mount("/dev/mqueue", "mqueue", "mqueue", hard)
    if namespaces.ipc(config).kind == "host":
        return [queue, _mount("/dev/shm", "bind", "/dev/shm", ["rbind", *hard])]
    if joined:
        # Of the container whose namespace it is: a tmpfs of that one's size, which is nowhere but in containers.
        namespace = f"scow.namespace={posixpath.dirname(joined)}/mnt"
        return [queue, _mount("/dev/shm", "bind", "/dev/shm", ["bind", *hard, namespace])]
    size = config.shm_size or _SHM_SIZE
    return [queue, _mount("/dev/shm", "tmpfs", "shm", [*hard, "mode=1777", f"size={size}"])]


def _mount(destination: str, kind: str, source: str, options: Sequence[str]) -> Mount:
    return Mount(destination=destination, type=kind, source=source, options=options)


def network_files(
    described: pb.Container, volumes: Sequence[Mount], *, read_only: bool
) -> list[Mount]:
    """Return the binds of the files that name hosts, but where a volume is."""
    taken = {paths.shortest(mount.destination) for mount in volumes}
    access = "ro" if read_only else "rw"
    return [
        _mount(target, "bind", getattr(described, field), ["rbind", "rprivate", access])
        for field, target in _FILES
        if getattr(described, field) and target not in taken
    ]


def propagation(described: pb.Container) -> str:
    """Return how the root's events travel: binds that share need a root that shares."""
    kinds = {mount.propagation for mount in described.mounts}
    if kinds & _SHARED:
        return "rshared"
    return "rslave" if kinds & _SLAVE else "rprivate"


def entry(mount: Mount) -> dict[str, Any]:
    """Return a mount as config.json has it."""
    return {
        "destination": mount.destination,
        "type": mount.type,
        "source": mount.source,
        "options": list(mount.options),
    }
