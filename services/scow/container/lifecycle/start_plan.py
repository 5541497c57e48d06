"""What a start knows just before it executes the process, kept in the state folder.

A service that is killed right after the execution has recorded nothing of it. Recovery reads this file, so that the
start is recorded as it would have been: with ports, endpoint and the paths of resolv.conf, hosts and hostname. The
state folder is in the run directory and does not outlive the machine, so nothing is synced to a disk.
"""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.container.lifecycle.transitions import Execution
from scow.container.model.paths import Paths


def keep(paths: Paths, container: str, netns_path: str, network: pb.Container) -> None:
    """Write down how a container that is about to be executed is plugged in."""
    plan = pb.Container(netns_path=netns_path)
    plan.MergeFrom(network)
    paths.execution(container).write_bytes(plan.SerializeToString())


def kept(paths: Paths, container: str, pid: int, warnings: tuple[str, ...]) -> Execution:
    """Return the execution of a container whose shim says that it runs."""
    path = paths.execution(container)
    network = pb.Container.FromString(path.read_bytes())
    netns_path = network.netns_path
    network.ClearField("netns_path")
    return Execution(pid, netns_path, path.stat().st_mtime_ns, network, warnings)
