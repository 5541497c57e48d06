"""What a build asks for its RUN steps, as containers have it."""

from __future__ import annotations

from scow.api.build.v1 import build_pb2 as pb
from scow.api.container.v1 import container_pb2
from scow.contract.errors import InvalidArgument, Unimplemented

_NETWORKS = {"": "bridge", "default": "bridge", "none": "none", "host": "host"}


def apply(config: container_pb2.ContainerConfig, options: pb.BuildOptions) -> None:
    """Set the limits and names of a build."""
    config.resources.memory = options.memory
    config.resources.memory_swap = options.memory_swap
    config.resources.nano_cpus = options.nano_cpus
    config.resources.cpu_shares = options.cpu_shares
    config.resources.cpuset_cpus = options.cpuset_cpus
    config.resources.pids_limit = options.pids_limit
    config.shm_size = options.shm_size
    config.extra_hosts.extend(options.extra_hosts)
    for limit in options.ulimits:
        config.ulimits.add(name=limit.name, soft=limit.soft, hard=limit.hard)


def network(step: str, options: pb.BuildOptions) -> str:
    """Return the network of a RUN step.

    Args:
        step: What the step asks for.
        options: Of the build.

    Raises:
        InvalidArgument: There is no such kind.
        Unimplemented: It is not allowed in this build.
    """
    wanted = options.network if step in ("", "default") else step
    if wanted not in _NETWORKS:
        raise InvalidArgument(
            f"network {wanted} in a build",
            what="network",
            which=wanted,
            do="use default, none or host",
        )
    if step == "host" and options.network != "host" and "network.host" not in options.entitlements:
        raise Unimplemented(
            "RUN --network=host is not allowed in this build",
            what="entitlement",
            which="network.host",
            do="give --allow network.host",
        )
    return _NETWORKS[wanted]
