"""Typed reading of the OCI runtime specification's config.json (v1.2), as far as the shim uses it.

A value of a wrong kind is InvalidConfig that names its place, "process.user.uid".
What the specification has and the shim does not know is ignored, as the specification asks of runtimes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from scow.contract.errors import InvalidConfig, ScowError
from scow.contract.shim_files import IMAGES, ROOTFS

_T = TypeVar("_T")
_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Mount:
    """One entry of `mounts`; options as mount(8) and the specification have them."""

    destination: str
    type: str
    source: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rlimit:
    """A limit of getrlimit(2): `type` is "RLIMIT_NOFILE" and so on; 2**64-1 means unlimited."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Names ("CAP_CHOWN") of each of a process's five sets."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@dataclass(slots=True)
class Process:
    """What to execute and as whom; exec sessions start from a copy of the container's."""

    terminal: bool
    console_size: tuple[int, int]
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    uid: int
    gid: int
    additional_gids: tuple[int, ...]
    groups: tuple[str, ...]
    umask: int | None
    capabilities: Capabilities
    rlimits: tuple[Rlimit, ...]
    no_new_privileges: bool
    apparmor_profile: str
    oom_score_adj: int | None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace to make, or with a path to join."""

    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A program of the host to execute; `timeout` in seconds, 0 for none of its own."""

    path: str
    args: tuple[str, ...]
    env: tuple[str, ...]
    timeout: int


@dataclass(frozen=True, slots=True)
class IdMap:
    """A range of ids of a user namespace and where it is in the host's."""

    container: int
    host: int
    size: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device node to make in the container."""

    path: str
    type: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """One rule of the device allow list; None stands for every number."""

    allow: bool
    type: str
    major: int | None
    minor: int | None
    access: str


@dataclass(frozen=True, slots=True)
class DeviceLimit:
    """What one block device is limited to, or its weight."""

    major: int
    minor: int
    value: int


@dataclass(frozen=True, slots=True)
class BlockIO:
    """Limits of block IO: weights from 10 to 1000, rates a second."""

    weight: int = 0
    weights: tuple[DeviceLimit, ...] = ()
    read_bps: tuple[DeviceLimit, ...] = ()
    write_bps: tuple[DeviceLimit, ...] = ()
    read_iops: tuple[DeviceLimit, ...] = ()
    write_iops: tuple[DeviceLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits of the cgroup. None: leave as it is; memory in bytes, -1 for unlimited; times in microseconds."""

    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_shares: int | None = None
    cpu_rt_runtime: int | None = None
    cpu_rt_period: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int | None = None
    block_io: BlockIO = BlockIO()
    # Bytes by the size of the pages, "2MB".
    hugepages: tuple[tuple[str, int], ...] = ()
    # Files of cgroup v2 and what is written to them.
    unified: tuple[tuple[str, str], ...] = ()
    devices: tuple[DeviceRule, ...] = ()


@dataclass(slots=True)
class Spec:
    """A config.json."""

    root_path: str
    root_readonly: bool
    rootfs: tuple[Mount, ...]
    # Of images that are mounted besides, by their places.
    images: dict[str, tuple[Mount, ...]]
    hostname: str
    domainname: str
    mounts: tuple[Mount, ...]
    process: Process
    namespaces: dict[str, Namespace]
    uids: tuple[IdMap, ...]
    gids: tuple[IdMap, ...]
    # Nanoseconds by clock, "monotonic" and "boottime".
    time_offsets: dict[str, int]
    devices: tuple[Device, ...]
    resources: Resources
    sysctl: dict[str, str]
    masked_paths: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    rootfs_propagation: str
    seccomp: dict[str, Any] | None
    init: bool
    # By the moments of the specification: "createRuntime".
    hooks: dict[str, tuple[Hook, ...]]
    # Project and bytes of the writable layer; None: no limit.
    storage: tuple[int, int] | None


class _Node:
    """A JSON value that knows where it stands."""

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    def _get(self, key: str, kind: type[_T], default: _T) -> _T:
        value = self.value.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _invalid(f"{self.place}{key}", f"must be {kind.__name__}")
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self._get(key, str, default)
        if "\0" in value:
            raise _invalid(f"{self.place}{key}", "must not contain a NUL")
        return value

    def flag(self, key: str) -> bool:
        return self._get(key, bool, False)

    def number(self, key: str, default: int = 0) -> int:
        return self._get(key, int, default)

    def optional(self, key: str) -> int | None:
        return self.number(key) if self.value.get(key) is not None else None

    def node(self, key: str) -> _Node:
        return _Node(self._get(key, dict, {}), f"{self.place}{key}.")

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._get(key, list, [])
        if not all(isinstance(value, str) and "\0" not in value for value in values):
            raise _invalid(f"{self.place}{key}", "must be a list of strings without NUL")
        return tuple(values)

    def each(self, key: str, make: Callable[[_Node], _T]) -> tuple[_T, ...]:
        values = self._get(key, list, [])
        made = []
        for index, value in enumerate(values):
            place = f"{self.place}{key}[{index}]."
            if not isinstance(value, dict):
                raise _invalid(place, "must be an object")
            made.append(make(_Node(value, place)))
        return tuple(made)

    def table(self, key: str) -> dict[str, str]:
        values = self._get(key, dict, {})
        if not all(isinstance(value, str) for value in values.values()):
            raise _invalid(f"{self.place}{key}", "must have strings as values")
        return dict(values)


def _invalid(place: str, why: str) -> ScowError:
    return InvalidConfig(
        f"config.json: {place.rstrip('.')} {why}",
        what="config.json",
        which=place.rstrip("."),
    )


def load(bundle: str) -> Spec:
    """Read `bundle`/config.json and, where it exists, rootfs.json."""
    root = _Node(_read(os.path.join(bundle, "config.json"), dict), "")
    return parse(root.value, bundle, load_rootfs(bundle), load_images(bundle))


def load_rootfs(bundle: str) -> tuple[Mount, ...]:
    """Read the mounts of `bundle`/rootfs.json; none when there is no such file."""
    path = os.path.join(bundle, ROOTFS)
    if not os.path.exists(path):
        return ()
    return parse_rootfs(_read(path, list))


def load_images(bundle: str) -> dict[str, tuple[Mount, ...]]:
    """Read the mounts of `bundle`/images.json, by the images' places; none when there is no such file."""
    path = os.path.join(bundle, IMAGES)
    if not os.path.exists(path):
        return {}
    node = _Node(_read(path, dict), "images.json:")
    return {place: node.each(place, _mount) for place in node.value}


def parse_rootfs(value: list[Any]) -> tuple[Mount, ...]:
    """Make mounts of what rootfs.json has."""
    return _Node({"rootfs": value}, "").each("rootfs", _mount)


def parse(
    config: dict[str, Any],
    bundle: str,
    rootfs: tuple[Mount, ...] = (),
    images: dict[str, tuple[Mount, ...]] | None = None,
) -> Spec:
    """Make a Spec of a parsed config.json; `root.path` is relative to `bundle`."""
    node = _Node(config, "")
    linux = node.node("linux")
    annotations = node.table("annotations")
    return Spec(
        root_path=os.path.join(bundle, node.node("root").text("path", "rootfs")),
        root_readonly=node.node("root").flag("readonly"),
        rootfs=rootfs,
        images=images or {},
        hostname=node.text("hostname"),
        domainname=node.text("domainname"),
        mounts=node.each("mounts", _mount),
        process=_process(node.node("process"), annotations),
        namespaces={entry.type: entry for entry in linux.each("namespaces", _namespace)},
        uids=linux.each("uidMappings", _id_map),
        gids=linux.each("gidMappings", _id_map),
        time_offsets={
            clock: offset.number("secs") * 10**9 + offset.number("nanosecs")
            for clock in linux.node("timeOffsets").value
            for offset in (linux.node("timeOffsets").node(clock),)
        },
        devices=linux.each("devices", _device),
        resources=_resources(linux.node("resources")),
        sysctl=linux.table("sysctl"),
        masked_paths=linux.texts("maskedPaths"),
        readonly_paths=linux.texts("readonlyPaths"),
        rootfs_propagation=linux.text("rootfsPropagation"),
        seccomp=linux.node("seccomp").value or None,
        init=annotations.get("scow.init") == "true",
        hooks={
            moment: node.node("hooks").each(moment, _hook) for moment in node.node("hooks").value
        },
        storage=_storage(annotations.get("scow.storage", "")),
    )


def _read(path: str, kind: type[_T]) -> _T:
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        text = f"cannot read {path}: {error.strerror}"
        raise InvalidConfig(text, which=path) from error
    try:
        value = json.loads(raw) if len(raw) <= _MAX_BYTES else None
    except ValueError as error:
        text = f"{path} is not JSON: {error}"
        raise InvalidConfig(text, which=path) from error
    if not isinstance(value, kind):
        text = f"{path} must hold a JSON {kind.__name__} of at most {_MAX_BYTES} bytes"
        raise InvalidConfig(text, which=path)
    return value


def _mount(node: _Node) -> Mount:
    return Mount(
        node.text("destination"), node.text("type"), node.text("source"), node.texts("options")
    )


def _namespace(node: _Node) -> Namespace:
    return Namespace(node.text("type"), node.text("path"))


def _hook(node: _Node) -> Hook:
    path = node.text("path")
    if not path.startswith("/"):
        raise _invalid(f"{node.place}path", "must be an absolute path")
    return Hook(path, node.texts("args"), node.texts("env"), node.number("timeout"))


def _storage(text: str) -> tuple[int, int] | None:
    project, _, size = text.partition(":")
    if not text:
        return None
    if not (project.isascii() and project.isdigit() and size.isascii() and size.isdigit()):
        raise _invalid("annotations.scow.storage", "must be PROJECT:BYTES")
    return int(project), int(size)


def _process(node: _Node, annotations: dict[str, str]) -> Process:
    user = node.node("user")
    size = node.node("consoleSize")
    args = node.texts("args")
    if not args or not args[0]:
        raise _invalid("process.args", "must name a command")
    if not node.text("cwd", "/").startswith("/"):
        raise _invalid("process.cwd", "must be an absolute path")
    gids = user._get("additionalGids", list, [])
    groups = annotations.get("scow.groups", "")
    return Process(
        terminal=node.flag("terminal"),
        console_size=(size.number("height"), size.number("width")),
        args=args,
        env=node.texts("env"),
        cwd=node.text("cwd", "/"),
        user=user.text("username"),
        uid=user.number("uid"),
        gid=user.number("gid"),
        additional_gids=tuple(int(gid) for gid in gids),
        groups=tuple(group for group in groups.split(",") if group),
        umask=user.optional("umask"),
        capabilities=_capabilities(node.node("capabilities")),
        rlimits=node.each("rlimits", _rlimit),
        no_new_privileges=node.flag("noNewPrivileges"),
        apparmor_profile=node.text("apparmorProfile"),
        oom_score_adj=node.optional("oomScoreAdj"),
    )


def _capabilities(node: _Node) -> Capabilities:
    return Capabilities(
        bounding=node.texts("bounding"),
        effective=node.texts("effective"),
        inheritable=node.texts("inheritable"),
        permitted=node.texts("permitted"),
        ambient=node.texts("ambient"),
    )


def _rlimit(node: _Node) -> Rlimit:
    return Rlimit(node.text("type"), node.number("soft"), node.number("hard"))


def _id_map(node: _Node) -> IdMap:
    return IdMap(node.number("containerID"), node.number("hostID"), node.number("size"))


def _device(node: _Node) -> Device:
    return Device(
        path=node.text("path"),
        type=node.text("type"),
        major=node.number("major"),
        minor=node.number("minor"),
        mode=node.number("fileMode", 0o666),
        uid=node.number("uid"),
        gid=node.number("gid"),
    )


def _device_rule(node: _Node) -> DeviceRule:
    def wildcard(key: str) -> int | None:
        value = node.optional(key)
        return None if value == -1 else value

    return DeviceRule(
        allow=node.flag("allow"),
        type=node.text("type") or "a",
        major=wildcard("major"),
        minor=wildcard("minor"),
        access=node.text("access") or "rwm",
    )


def parse_resources(data: bytes) -> Resources:
    """Return the limits that a text has, as `linux.resources`.

    Raises:
        InvalidConfig: It is not valid.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise _invalid("linux.resources", f"cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise _invalid("linux.resources", "must be dict")
    return _resources(_Node(value, "linux.resources."))


def _resources(node: _Node) -> Resources:
    memory, cpu = node.node("memory"), node.node("cpu")
    return Resources(
        memory=memory.optional("limit"),
        memory_swap=memory.optional("swap"),
        memory_reservation=memory.optional("reservation"),
        swappiness=memory.optional("swappiness"),
        oom_kill_disable=memory.flag("disableOOMKiller"),
        cpu_quota=cpu.optional("quota"),
        cpu_period=cpu.optional("period"),
        cpu_shares=cpu.optional("shares"),
        cpu_rt_runtime=cpu.optional("realtimeRuntime"),
        cpu_rt_period=cpu.optional("realtimePeriod"),
        cpuset_cpus=cpu.text("cpus"),
        cpuset_mems=cpu.text("mems"),
        pids=node.node("pids").optional("limit"),
        block_io=_block_io(node.node("blockIO")),
        hugepages=node.each(
            "hugepageLimits", lambda limit: (limit.text("pageSize"), limit.number("limit"))
        ),
        unified=tuple(node.table("unified").items()),
        devices=node.each("devices", _device_rule),
    )


def _block_io(node: _Node) -> BlockIO:
    def rates(key: str) -> tuple[DeviceLimit, ...]:
        return node.each(
            key, lambda each: DeviceLimit(*map(each.number, ("major", "minor", "rate")))
        )

    return BlockIO(
        weight=node.number("weight"),
        weights=node.each(
            "weightDevice",
            lambda each: DeviceLimit(*map(each.number, ("major", "minor", "weight"))),
        ),
        read_bps=rates("throttleReadBpsDevice"),
        write_bps=rates("throttleWriteBpsDevice"),
        read_iops=rates("throttleReadIOPSDevice"),
        write_iops=rates("throttleWriteIOPSDevice"),
    )
