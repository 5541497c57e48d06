"""The flags of `run` and `create`, as data, with the functions that check their values."""

from __future__ import annotations

from scow.cli.flags import refused
from scow.cli.flags.docker_trust import DISABLE_CONTENT_TRUST
from scow.cli.flags.parser import Flag
from scow.cli.io.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys
from scow.client import mount_specs, specs, supervision_specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PULL_POLICIES = ("always", "missing", "never")


def _variable(text: str) -> str:
    if not text or text.startswith("="):
        raise ValueError(f"invalid environment variable: {text}")
    return text


def label_text(text: str) -> str:
    """Return a label as it is.

    Raises:
        ValueError: It has no name.
    """
    if not text or text.startswith("="):
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def pair(text: str) -> tuple[str, str]:
    """Return the key and the value of "key=value".

    Raises:
        ValueError: No such form.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"invalid option {text!r}: use key=value")
    return key, value


def pull_policy(text: str) -> str:
    """Return the policy itself.

    Raises:
        ValueError: No such policy.
    """
    if text not in PULL_POLICIES:
        raise ValueError(
            f"invalid pull option: '{text}': must be one of {', '.join(PULL_POLICIES)}"
        )
    return text


def _platform(text: str) -> str:
    specs.parse_platform(text)
    return text


def _mode(what: str, *known: str) -> Callable[[str], str]:
    """Return the check of a kind of namespace: "host" and the like, or another container's."""

    def check(text: str) -> str:
        kind, _, name = text.partition(":")
        if text not in ("", *known) and not (f"{kind}:" in known and name):
            raise ValueError(f"invalid {what} mode")
        return text

    return check


def _stream(text: str) -> str:
    name = text.lower()
    if name not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return name


DETACH_KEYS = Flag(
    "detach-keys",
    kind="string",
    default=DEFAULT_DETACH_KEYS,
    parse=parse_detach_keys,
    help="Override the key sequence for detaching a container",
)
SIG_PROXY = Flag("sig-proxy", default=True, help="Proxy received signals to the process")
ENV = Flag("env", "e", "list", "Set environment variables", parse=_variable)
ENV_FILE = Flag("env-file", kind="list", help="Read in a file of environment variables")
PLATFORM = Flag(
    "platform",
    kind="string",
    parse=_platform,
    help="Set platform if server is multi-platform capable",
)

_IDENTITY = (
    Flag("name", kind="string", help="Assign a name to the container"),
    Flag("hostname", "h", "string", "Container host name"),
    Flag("domainname", kind="string", help="Container NIS domain name"),
    Flag("label", "l", "list", "Set meta data on a container", parse=label_text),
    Flag("label-file", kind="list", help="Read in a line delimited file of labels"),
    Flag("cidfile", kind="string", help="Write the container ID to the file"),
    PLATFORM,
    Flag(
        "pull",
        kind="string",
        default="missing",
        parse=pull_policy,
        help='Pull image before running ("always", "missing", "never")',
    ),
    Flag("quiet", "q", help="Suppress the pull output"),
)
_PROCESS = (
    ENV,
    ENV_FILE,
    Flag(
        "entrypoint",
        kind="string",
        help="Overwrite the default ENTRYPOINT of the image",
    ),
    Flag("workdir", "w", "string", "Working directory inside the container"),
    Flag(
        "user",
        "u",
        "string",
        "Username or UID (format: <name|uid>[:<group|gid>])",
    ),
    Flag("group-add", kind="list", help="Add additional groups to join"),
    Flag("interactive", "i", help="Keep STDIN open even if not attached"),
    Flag("tty", "t", help="Allocate a pseudo-TTY"),
    Flag("attach", "a", "list", "Attach to STDIN, STDOUT or STDERR", parse=_stream),
    Flag(
        "init",
        help="Run an init inside the container that forwards signals and reaps processes",
    ),
    Flag("stop-signal", kind="string", help="Signal to stop the container"),
    Flag("stop-timeout", kind="int", help="Timeout (in seconds) to stop a container"),
    Flag(
        "rm",
        help="Automatically remove the container and its associated anonymous volumes when it exits",
    ),
)
_NETWORK = (
    Flag(
        "network",
        kind="list",
        shows="network",
        help="Connect a container to a network",
        parse=specs.parse_network,
    ),
    Flag("net", kind="list", shows="network", help="Same as --network", parse=specs.parse_network),
    Flag("network-alias", kind="list", help="Add network-scoped alias for the container"),
    Flag("net-alias", kind="list", help="Same as --network-alias"),
    Flag(
        "publish",
        "p",
        "list",
        "Publish a container's port(s) to the host",
        parse=specs.parse_port,
    ),
    Flag(
        "publish-allow",
        kind="list",
        shows="[port=]cidr",
        help="Addresses that may use published ports, all or one (scow's own)",
        parse=specs.parse_publish_allow,
    ),
    Flag("publish-all", "P", help="Publish all exposed ports to random ports"),
    Flag("expose", kind="list", help="Expose a port or a range of ports", parse=specs.parse_expose),
    Flag("link", kind="list", help="Add link to another container"),
    Flag("dns", kind="list", help="Set custom DNS servers", parse=specs.parse_address),
    Flag("dns-option", kind="list", help="Set DNS options"),
    Flag("dns-opt", kind="list", help="Same as --dns-option"),
    Flag("dns-search", kind="list", help="Set custom DNS search domains"),
    Flag(
        "add-host",
        kind="list",
        help="Add a custom host-to-IP mapping (host:ip)",
        parse=specs.parse_extra_host,
    ),
    Flag(
        "ip", kind="string", help="IPv4 address (e.g., 172.30.100.104)", parse=specs.parse_address
    ),
    Flag("ip6", kind="string", help="IPv6 address (e.g., 2001:db8::33)", parse=specs.parse_address),
    Flag(
        "link-local-ip",
        kind="list",
        help="Container IPv4/IPv6 link-local addresses",
        parse=specs.parse_address,
    ),
    Flag("mac-address", kind="string", help="Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
)
_FILES = (
    Flag("volume", "v", "list", "Bind mount a volume", parse=mount_specs.parse_volume),
    Flag(
        "volumes-from",
        kind="list",
        help="Mount volumes from the specified container(s)",
        parse=mount_specs.parse_volumes_from,
    ),
    Flag("volume-driver", kind="string", help="Optional volume driver for the container"),
    Flag(
        "mount",
        kind="list",
        shows="mount",
        help="Attach a filesystem mount to the container",
        parse=mount_specs.parse_mount,
    ),
    Flag("tmpfs", kind="list", help="Mount a tmpfs directory", parse=mount_specs.parse_tmpfs),
    Flag("read-only", help="Mount the container's root filesystem as read only"),
    Flag("read-only-tmpfs", help="With --read-only, mount a tmpfs at /run, /tmp and /var/tmp"),
    Flag("shm-size", kind="int", shows="bytes", help="Size of /dev/shm", parse=specs.parse_size),
    Flag(
        "device",
        kind="list",
        help="Add a host device to the container",
        parse=specs.parse_device_or_cdi,
    ),
    Flag(
        "gpus",
        kind="list",
        shows="gpu-request",
        help="GPU devices to add to the container ('all' to pass all GPUs)",
        parse=specs.parse_gpus,
    ),
)


def _by_device(
    *flags: tuple[str, str], parse: Callable[[str], dict[str, object]]
) -> tuple[Flag, ...]:
    return tuple(Flag(name, kind="list", help=text, parse=parse) for name, text in flags)


_LIMITS = (
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
    Flag("cpus", kind="int", shows="decimal", help="Number of CPUs", parse=specs.parse_cpus),
    Flag("cpu-shares", "c", "int", "CPU shares (relative weight)"),
    Flag(
        "cpuset-cpus",
        kind="string",
        help="CPUs in which to allow execution (0-3, 0,1)",
    ),
    Flag("cpuset-mems", kind="string", help="MEMs in which to allow execution (0-3, 0,1)"),
    Flag("cpu-period", kind="int", help="Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", kind="int", help="Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-rt-period", kind="int", help="Limit CPU real-time period in microseconds"),
    Flag("cpu-rt-runtime", kind="int", help="Limit CPU real-time runtime in microseconds"),
    Flag(
        "memory-high",
        kind="int",
        shows="bytes",
        help="Memory above which processes are slowed down, cgroup v2 (scow's own)",
        parse=specs.parse_size,
    ),
    Flag(
        "memory-swappiness",
        kind="int",
        default=-1,
        help="Tune container memory swappiness (0 to 100)",
    ),
    Flag("oom-kill-disable", help="Disable OOM Killer"),
    Flag(
        "blkio-weight",
        kind="int",
        help="Block IO (relative weight), between 10 and 1000, or 0 to disable",
    ),
    *_by_device(
        ("blkio-weight-device", "Block IO weight (relative device weight)"),
        parse=specs.parse_device_weight,
    ),
    *_by_device(
        ("device-read-bps", "Limit read rate (bytes per second) from a device"),
        ("device-write-bps", "Limit write rate (bytes per second) to a device"),
        parse=specs.parse_device_bps,
    ),
    *_by_device(
        ("device-read-iops", "Limit read rate (IO per second) from a device"),
        ("device-write-iops", "Limit write rate (IO per second) to a device"),
        parse=specs.parse_device_iops,
    ),
    Flag(
        "hugepages",
        kind="list",
        shows="size=bytes",
        help="Limit huge pages of a size, 2MB=64m (scow's own)",
        parse=specs.parse_hugepages,
    ),
    Flag(
        "cgroup-conf",
        kind="list",
        shows="file=value",
        help="Write a file of the cgroup, memory.high=64M, cgroup v2 (scow's own)",
        parse=pair,
    ),
    Flag("storage-opt", kind="list", help="Storage driver options for the container", parse=pair),
    Flag("cgroup-parent", kind="string", help="Optional parent cgroup for the container"),
    Flag(
        "device-cgroup-rule",
        kind="list",
        help="Add a rule to the cgroup allowed devices list",
        parse=specs.parse_device_rule,
    ),
    Flag(
        "pids-limit",
        kind="int",
        help="Tune container pids limit (set -1 for unlimited)",
    ),
    Flag(
        "ulimit",
        kind="list",
        shows="ulimit",
        help="Ulimit options",
        parse=specs.parse_ulimit,
    ),
    Flag(
        "oom-score-adj",
        kind="int",
        help="Tune host's OOM preferences (-1000 to 1000)",
    ),
)
_SECURITY = (
    Flag("cap-add", kind="list", help="Add Linux capabilities"),
    Flag("cap-drop", kind="list", help="Drop Linux capabilities"),
    Flag("privileged", help="Give extended privileges to this container"),
    Flag("security-opt", kind="list", help="Security Options"),
    Flag("sysctl", kind="list", shows="map", help="Sysctl options", parse=pair),
    Flag(
        "cgroupns",
        kind="string",
        help="Cgroup namespace to use (host|private)",
        parse=_mode("CGROUP", "host", "private"),
    ),
    Flag("ipc", kind="string", help="IPC mode to use"),
    Flag(
        "pid",
        kind="string",
        help="PID namespace to use",
        parse=_mode("PID", "host", "private", "container:"),
    ),
    Flag(
        "uts",
        kind="string",
        help="UTS namespace to use",
        parse=_mode("UTS", "host", "private"),
    ),
    Flag(
        "userns",
        kind="string",
        help="User namespace to use (host|auto|private:FIRST:SIZE|container:NAME)",
        parse=_mode("USER", "host", "auto", "private", "private:", "container:"),
    ),
    Flag(
        "time-offset",
        kind="list",
        shows="clock=duration",
        help="Set a clock (monotonic, boottime) ahead or back (scow's own)",
        parse=specs.parse_time_offset,
    ),
)
_LOGGING = (
    Flag("log-driver", kind="string", help="Logging driver for the container"),
    Flag("log-opt", kind="list", help="Log driver options", parse=pair),
    Flag(
        "secret",
        kind="list",
        help="Secret to mount: NAME[,target=PLACE][,uid=ID][,gid=ID][,mode=OCTAL] (scow's own)",
        parse=specs.parse_secret,
    ),
)

_SUPERVISION = (
    Flag(
        "restart",
        kind="string",
        default="no",
        parse=supervision_specs.parse_restart,
        help="Restart policy to apply when a container exits",
    ),
    Flag(
        "restart-delay",
        kind="int",
        shows="duration",
        parse=supervision_specs.parse_duration,
        help="Pause before the first restart; each further one is twice as long (scow's own)",
    ),
    Flag(
        "restart-delay-max",
        kind="int",
        shows="duration",
        parse=supervision_specs.parse_duration,
        help="Longest pause before a restart (scow's own)",
    ),
    Flag(
        "restart-reset",
        kind="int",
        shows="duration",
        parse=supervision_specs.parse_duration,
        help="Time of running after which the pauses begin anew (scow's own)",
    ),
    Flag(
        "restart-jitter",
        kind="int",
        shows="percent",
        parse=supervision_specs.parse_percent,
        help="Part of a pause that is added at most, at random (scow's own)",
    ),
    Flag(
        "depends-on",
        kind="list",
        shows="name[:condition]",
        parse=supervision_specs.parse_dependency,
        help="Wait at each start until another container is started, healthy or completed (scow's own)",
    ),
)


def _health_time(name: str, text: str) -> Flag:
    return Flag(
        f"health-{name}",
        kind="int",
        shows="duration",
        help=text,
        parse=supervision_specs.parse_duration,
    )


_HEALTH = (
    Flag("health-cmd", kind="string", help="Command to run to check health"),
    _health_time("interval", "Time between running the check (ms|s|m|h)"),
    _health_time("timeout", "Maximum time to allow one check to run (ms|s|m|h)"),
    _health_time(
        "start-period", "Start period for the container to initialize before failures count"
    ),
    _health_time("start-interval", "Time between running the check during the start period"),
    Flag("health-retries", kind="int", help="Consecutive failures needed to report unhealthy"),
    Flag("no-healthcheck", help="Disable any container-specified HEALTHCHECK"),
    Flag(
        "probe",
        kind="list",
        shows="[kind=]probe",
        parse=supervision_specs.parse_probe,
        help="Check by a connection: http:8080/ready, tcp:5432, grpc:50051/service (scow's own)",
    ),
    Flag(
        "health-action",
        kind="string",
        default="none",
        parse=supervision_specs.parse_health_action,
        help='What to do when unhealthy ("none", "restart", "stop", "kill") (scow\'s own)',
    ),
)

CREATE_FLAGS = (
    *(_IDENTITY + _PROCESS + _NETWORK + _FILES + _LIMITS + _SECURITY + _LOGGING),
    *(_SUPERVISION + _HEALTH),
    DISABLE_CONTENT_TRUST,
    *refused.CREATE,
)
RUN_FLAGS = (
    *CREATE_FLAGS,
    Flag("detach", "d", help="Run container in background and print container ID"),
    DETACH_KEYS,
    SIG_PROXY,
)
