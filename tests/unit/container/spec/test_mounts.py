from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import Mount
from scow.container.spec import mounts as specmounts


def destinations(config: ContainerConfig, *volumes: str) -> list[str]:
    mounts = [Mount(destination=v, type="bind", source="/x") for v in volumes]
    return [mount.destination for mount in specmounts.make(config, mounts)]


BASE = ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"]


def test_base() -> None:
    assert destinations(ContainerConfig()) == BASE


def test_parents_come_before_children() -> None:
    assert destinations(ContainerConfig(), "/a/b/c", "/a", "/z/y")[len(BASE) :] == [
        "/a",
        "/z/y",
        "/a/b/c",
    ]


def test_a_volume_replaces_a_default_and_what_is_below_it() -> None:
    assert destinations(ContainerConfig(), "/dev/") == ["/proc", "/sys", "/sys/fs/cgroup", "/dev/"]
    assert destinations(ContainerConfig(), "/dev/shm").count("/dev/shm") == 1
    assert "/dev/shm" not in destinations(ContainerConfig(), "//dev/shm")


def test_shared_memory() -> None:
    def shm(config: ContainerConfig) -> Mount:
        found = specmounts.make(config, [])
        return next(mount for mount in found if mount.destination == "/dev/shm")

    assert "size=67108864" in shm(ContainerConfig()).options
    assert "size=4096" in shm(ContainerConfig(shm_size=4096)).options
    assert shm(ContainerConfig(ipc_mode="host")).source == "/dev/shm"
    assert "size=4096" in shm(ContainerConfig(shm_size=4096, ipc_mode="shareable")).options


def test_network_files_yield_to_volumes_and_follow_the_root() -> None:
    described = pb.Container(resolv_conf_path="/r", hosts_path="/h")
    volume = Mount(destination="/etc/hosts", type="bind", source="/mine")
    (found,) = specmounts.network_files(described, [volume], read_only=True)
    assert (found.destination, found.source) == ("/etc/resolv.conf", "/r")
    assert "ro" in found.options
