"""What a build asks for its RUN steps, as containers have it."""

from __future__ import annotations

from collections.abc import Collection

from scow.api.build.v1 import build_pb2 as pb
from scow.api.container.v1 import container_pb2
from scow.build.frontend.steps import RunStep
from scow.contract.errors import (
    InvalidArgument,
    PermissionDenied,
    Unimplemented,
)

INSECURE = "security.insecure"
_NETWORKS = {"": "bridge", "default": "bridge", "none": "none", "host": "host"}


def apply(config: container_pb2.ContainerConfig, options: pb.BuildOptions) -> None:
    """Set the limits and names of a build."""
    config.resources.memory = options.memory
    config.resources.memory_swap = options.memory_swap
    config.resources.nano_cpus = options.nano_cpus
    config.resources.cpu_shares = options.cpu_shares
    config.resources.cpu_period = options.cpu_period
    config.resources.cpu_quota = options.cpu_quota
    config.resources.cpuset_cpus = options.cpuset_cpus
    config.resources.cpuset_mems = options.cpuset_mems
    config.resources.pids_limit = options.pids_limit
    config.shm_size = options.shm_size
    config.cgroup_parent = options.cgroup_parent
    config.extra_hosts.extend(options.extra_hosts)
    for limit in options.ulimits:
        config.ulimits.add(name=limit.name, soft=limit.soft, hard=limit.hard)


def is_insecure(step: RunStep, options: pb.BuildOptions, allowed: Collection[str]) -> bool:
    """Tell whether a RUN step has all privileges.

    Args:
        step: The step.
        options: Of the build, which has to ask for it as well.
        allowed: What the engine lets builds ask for.

    Raises:
        PermissionDenied: It asks for them, and the build or the engine does not allow it.
    """
    if step.security != "insecure":
        return False
    if INSECURE not in allowed:
        raise PermissionDenied(
            "RUN --security=insecure is not allowed on this engine",
            what="entitlement",
            which=INSECURE,
            do=f"let who administers it add {INSECURE} to build.allow",
        )
    if INSECURE not in options.entitlements:
        raise PermissionDenied(
            "RUN --security=insecure is not allowed in this build",
            what="entitlement",
            which=INSECURE,
            do=f"give --allow {INSECURE}",
        )
    return True


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


def latest_ns(options: pb.BuildOptions) -> int | None:
    """Return the time that later times of files become; None where they stay."""
    if not (options.rewrite_timestamp and options.HasField("source_date_epoch")):
        return None
    return options.source_date_epoch * 1_000_000_000


def dated(options: pb.BuildOptions) -> tuple[object, ...]:
    """Return what of times counts in keys."""
    latest = latest_ns(options)
    return () if latest is None else (["latest", latest],)
