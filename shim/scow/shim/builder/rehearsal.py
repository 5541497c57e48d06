"""What a builder does while it waits for its request: all that it will do, as far as no container is needed for it.

CPython writes a reference count into each object that it looks at, and the first write to a page after a fork copies
the page: that takes a start longer than the work itself. So it is done before.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from scow.api.shim.v1 import spawner_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.contract import shim_files
from scow.shim import cgroup
from scow.shim.confine import seccomp
from scow.shim.init import control
from scow.shim.oci import config

_MOUNTS = [
    {"destination": f"/{number}", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "ro"]}
    for number in range(8)
]
# As long as a usual one; what is in it does not matter.
_CONFIGURATION: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "hostname": "rehearsal",
    "mounts": _MOUNTS,
    "process": {
        "args": ["true"],
        "cwd": "/",
        "env": ["PATH=/bin", "HOSTNAME=rehearsal"],
        "user": {"uid": 0, "gid": 0, "username": "0"},
        "capabilities": {
            kind: [f"CAP_{number}" for number in range(14)]
            for kind in ("bounding", "effective", "permitted")
        },
        "rlimits": [],
        "noNewPrivileges": False,
        "oomScoreAdj": 0,
    },
    "annotations": {},
    "linux": {
        "namespaces": [{"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts")],
        "devices": [],
        "resources": {"devices": [{"allow": False, "access": "rwm"}], "memory": {}, "cpu": {}},
        "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "maskedPaths": [f"/proc/{number}" for number in range(12)],
        "readonlyPaths": [f"/proc/{number}" for number in range(5)],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": [f"call{n}" for n in range(300)], "action": "SCMP_ACT_ALLOW", "args": []}
            ],
        },
    },
}
_TEXT = json.dumps(_CONFIGURATION)


def rehearse() -> None:
    """Do it. Nothing outside of this process is changed."""
    spec = config.parse(json.loads(_TEXT), "/", config.parse_rootfs(_MOUNTS))
    assert spec.seccomp is not None
    seccomp.key(spec.seccomp)
    layout = cgroup.discover()
    layout.cgroup("rehearsal", "rehearsal")
    state = shim_files.State("rehearsal", "", 1, 1, cgroups=list(layout.parents("rehearsal")))
    state.encode()
    pb.SpawnerAnswer(spawned=pb.Spawned(netns="/proc/1/ns/net")).SerializeToString()
    start = pb.Start(mounts=[Mount(destination="/x", type="bind", source="/x", options=["ro"])])
    request = pb.SpawnerRequest.FromString(pb.SpawnerRequest(start=start).SerializeToString())
    message = {"start": {"mounts": shim_files.rootfs(request.start.mounts)}}
    ours, theirs = control.pair()
    with ours, theirs, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM):
        control.send(theirs.fileno(), message)
        control.receive_with_fd(ours)
