"""OCI bundles for the shim's tests: a busybox root below an overlay, and a configuration as Docker would write it."""

from __future__ import annotations

import copy
import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

from scow.container.spec import capabilities, seccomp
from tests.support.busybox import rootfs_tar

DEFAULT_SECCOMP = seccomp.default(capabilities.DEFAULT)
_HARD = ["nosuid", "noexec", "nodev"]
_MOUNTS: list[tuple[str, str, list[str]]] = [
    ("/proc", "proc", _HARD),
    ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/sys", "sysfs", [*_HARD, "ro"]),
    ("/sys/fs/cgroup", "cgroup", [*_HARD, "ro"]),
    ("/dev/mqueue", "mqueue", _HARD),
    ("/dev/shm", "tmpfs", [*_HARD, "mode=1777", "size=64m"]),
]
_CONFIG: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": place, "type": kind, "source": kind, "options": options}
        for place, kind, options in _MOUNTS
    ],
    "process": {
        "args": ["true"],
        "cwd": "/",
        "env": ["PATH=/bin"],
        "capabilities": {
            kind: list(capabilities.DEFAULT) for kind in ("bounding", "effective", "permitted")
        },
    },
    "linux": {
        "namespaces": [
            {"type": kind} for kind in ("mount", "uts", "ipc", "pid", "network", "cgroup")
        ],
        "resources": {
            "devices": [{"allow": False, "access": "rwm"}],
        },
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/none-such"],
        "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/bus"],
    },
}


def unpack_base(directory: Path) -> None:
    """Unpack the busybox root file system."""
    with tarfile.open(fileobj=BytesIO(rootfs_tar())) as tar:
        tar.extraction_filter = lambda member, _: (
            member
        )  # our own tar; older Pythons know no filters
        tar.extractall(directory)


def config(**process: Any) -> dict[str, Any]:
    """Return a configuration with some fields of `process` changed."""
    made = copy.deepcopy(_CONFIG)
    made["process"].update(process)
    return made


def write(bundle: Path, base: Path, made: dict[str, Any]) -> None:
    """Write a bundle whose root is an overlay on `base`."""
    for name in ("upper", "work"):
        (bundle / name).mkdir(parents=True)
    options = [f"lowerdir={base}", f"upperdir={bundle}/upper", f"workdir={bundle}/work"]
    overlay = {"type": "overlay", "source": "overlay", "options": options}
    (bundle / "config.json").write_text(json.dumps(made))
    (bundle / "rootfs.json").write_text(json.dumps([overlay]))
