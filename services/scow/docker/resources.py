"""Limits of a container, as a HostConfig has them, at its creation and when they are updated."""

from __future__ import annotations

from collections.abc import Iterator

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import InvalidArgument
from scow.docker.fields import Fields


def resources(host: Fields) -> pb.Resources:
    """Return the limits.

    Raises:
        InvalidArgument: A value is of another type.
    """
    found = pb.Resources(
        memory=host.number("Memory"),
        memory_swap=host.number("MemorySwap"),
        memory_reservation=host.number("MemoryReservation"),
        oom_kill_disable=host.flag("OomKillDisable"),
        nano_cpus=host.number("NanoCpus"),
        cpu_shares=host.number("CpuShares"),
        cpu_period=host.number("CpuPeriod"),
        cpu_quota=host.number("CpuQuota"),
        cpu_rt_period=host.number("CpuRealtimePeriod"),
        cpu_rt_runtime=host.number("CpuRealtimeRuntime"),
        cpuset_cpus=host.text("CpusetCpus"),
        cpuset_mems=host.text("CpusetMems"),
        pids_limit=host.number("PidsLimit"),
        blkio_weight=host.number("BlkioWeight"),
        blkio_weight_devices=_devices(host, "BlkioWeightDevice", "Weight"),
        device_read_bps=_devices(host, "BlkioDeviceReadBps", "Rate"),
        device_write_bps=_devices(host, "BlkioDeviceWriteBps", "Rate"),
        device_read_iops=_devices(host, "BlkioDeviceReadIOps", "Rate"),
        device_write_iops=_devices(host, "BlkioDeviceWriteIOps", "Rate"),
        device_cgroup_rules=host.texts("DeviceCgroupRules"),
    )
    # -1 is how some clients leave it out.
    if "MemorySwappiness" in host and host.number("MemorySwappiness") != -1:
        found.memory_swappiness = host.number("MemorySwappiness")
    return found


def _devices(host: Fields, key: str, value: str) -> Iterator[pb.DeviceLimit]:
    for each in host.objects(key):
        yield pb.DeviceLimit(path=each.text("Path"), value=each.number(value))


def cdi_devices(host: Fields) -> Iterator[str]:
    """Yield the names of devices that CDI specifications describe.

    Raises:
        InvalidArgument: A request for devices of another driver.
    """
    for request in host.objects("DeviceRequests"):
        driver = request.text("Driver")
        if driver != "cdi":
            raise InvalidArgument(
                f'could not select device driver "{driver}" with capabilities: '
                f"{request.lists('Capabilities')}",
                what="device",
                which=driver,
                do="name devices of CDI specifications, vendor.com/class=name",
            )
        yield from request.texts("DeviceIDs")
