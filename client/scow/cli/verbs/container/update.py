"""`update`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.client import specs, supervision_specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.container.v1.container_pb2 import Resources
    from scow.cli.context import Context


def _update(options: Options, context: Context) -> int:
    if not options.given:
        raise UsageError("you must provide one or more flags when using this command", 1)
    from scow.api.container.v1.supervision_pb2 import RestartPolicy
    from scow.cli.flags.container_config import in_range

    with in_range():
        resources = _resources(options)
        policy = RestartPolicy(**options.restart) if options.restart else None

    def update(name: str) -> str:
        containers = context.client.containers
        context.warn_all(containers.update(name, resources, restart_policy=policy).warnings)
        return name

    return context.each(options.args, update)


def _resources(options: Options) -> Resources:
    from scow.api.container.v1.container_pb2 import Resources

    return Resources(
        memory=options.memory,
        memory_swap=options.memory_swap,
        memory_reservation=options.memory_reservation,
        nano_cpus=options.cpus,
        cpu_shares=options.cpu_shares,
        cpu_period=options.cpu_period,
        cpu_quota=options.cpu_quota,
        cpu_rt_period=options.cpu_rt_period,
        cpu_rt_runtime=options.cpu_rt_runtime,
        cpuset_cpus=options.cpuset_cpus,
        cpuset_mems=options.cpuset_mems,
        blkio_weight=options.blkio_weight,
        # Docker's 0 means unlimited here, which is no change on the wire.
        pids_limit=options.pids_limit or (-1 if "pids-limit" in options.given else 0),
    )


VERBS = (
    Verb(
        "update",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        "Update configuration of one or more containers",
        _update,
        flags=(
            Flag("blkio-weight", kind="int", shows="uint16", help="Block IO, 10 to 1000"),
            Flag("cpu-period", kind="int", help="CPU CFS period, in microseconds"),
            Flag("cpu-quota", kind="int", help="CPU CFS quota, in microseconds a period"),
            Flag("cpu-rt-period", kind="int", help="CPU real-time period, in microseconds"),
            Flag("cpu-rt-runtime", kind="int", help="CPU real-time runtime, in microseconds"),
            Flag("cpu-shares", "c", "int", "CPU shares (relative weight)"),
            Flag(
                "cpus", kind="int", shows="decimal", help="Number of CPUs", parse=specs.parse_cpus
            ),
            Flag("cpuset-cpus", kind="string", help="CPUs in which to allow execution (0-3, 0,1)"),
            Flag("cpuset-mems", kind="string", help="MEMs in which to allow execution (0-3, 0,1)"),
            Flag("memory", "m", "int", "Memory limit", shows="bytes", parse=specs.parse_size),
            Flag(
                "memory-reservation",
                kind="int",
                shows="bytes",
                help="Memory soft limit",
                parse=specs.parse_size,
            ),
            Flag(
                "memory-swap",
                kind="int",
                shows="bytes",
                help="Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
                parse=specs.parse_swap,
            ),
            Flag("pids-limit", kind="int", help="Tune container pids limit (set -1 for unlimited)"),
            Flag(
                "restart",
                kind="string",
                shows="policy",
                help="Restart policy to apply when a container exits",
                parse=supervision_specs.parse_restart,
            ),
        ),
        least=1,
    ),
)
