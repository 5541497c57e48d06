"""What a container uses, as Docker's API has it."""

from __future__ import annotations

from scow.words.shapes.common import nanoseconds
from scow.words.template.values import Map, Struct
from scow.words.times import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.container.v1.stats_pb2 import ContainerStats, InterfaceStats

_SECOND = 1_000_000_000


def stats_shape(stats: ContainerStats, processors: int) -> Struct:
    """Return a measurement in the shape of Docker's API, and before it one of a second ago.

    Clients divide what the container used between both by what all processors had; here that is the time on the clock.

    Args:
        stats: What was measured.
        processors: Of the machine.
    """
    time_ns = nanoseconds(stats, "time")
    used = round(stats.cpu_percent / 100 * _SECOND)
    return Struct(
        id=stats.id,
        name=f"/{stats.name}",
        read=moment(time_ns),
        preread=moment(time_ns - _SECOND),
        pids_stats=Struct(current=stats.pids, limit=stats.pids_limit),
        blkio_stats=Struct(
            io_service_bytes_recursive=[
                Struct(major=0, minor=0, op="read", value=stats.block_read),
                Struct(major=0, minor=0, op="write", value=stats.block_write),
            ]
        ),
        num_procs=0,
        storage_stats=Struct(),
        cpu_stats=_processor(stats, processors, time_ns, stats.cpu_usage),
        precpu_stats=_processor(
            stats, processors, time_ns - _SECOND, max(0, stats.cpu_usage - used)
        ),
        memory_stats=Struct(
            usage=stats.memory_usage, stats=Map({}), limit=stats.memory_limit, max_usage=0
        ),
        networks=Map({each.name: _interface(each) for each in stats.interfaces}),
    )


def _processor(stats: ContainerStats, processors: int, time_ns: int, usage: int) -> Struct:
    return Struct(
        cpu_usage=Struct(
            total_usage=usage,
            usage_in_kernelmode=stats.cpu_system,
            usage_in_usermode=stats.cpu_user,
        ),
        system_cpu_usage=time_ns * processors,
        online_cpus=processors,
        throttling_data=Struct(
            periods=0,
            throttled_periods=stats.throttled_periods,
            throttled_time=stats.throttled_time,
        ),
    )


def _interface(found: InterfaceStats) -> Struct:
    return Struct(
        rx_bytes=found.received_bytes,
        rx_packets=found.received_packets,
        rx_errors=found.received_errors,
        rx_dropped=found.received_dropped,
        tx_bytes=found.sent_bytes,
        tx_packets=found.sent_packets,
        tx_errors=found.sent_errors,
        tx_dropped=found.sent_dropped,
    )
