"""From flags of `run` to the contract's ContainerConfig, and the exit code of every wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig, NetworkAttachment
from scow.cli.context import Context
from scow.cli.flags.container_config import build
from scow.cli.flags.container_flags import RUN_FLAGS
from scow.cli.flags.parser import UsageError, parse
from scow.cli.verbs.container import update


def config(*arguments: str) -> ContainerConfig:
    """Return what `scow run ARGUMENTS` asks for."""
    return build(parse(RUN_FLAGS, arguments, interspersed=False))


def test_image_and_command() -> None:
    made = config("--name", "x", "busybox", "sh", "-c", "true")
    assert (made.image, list(made.command)) == ("busybox", ["sh", "-c", "true"])
    assert not made.override_entrypoint


@pytest.mark.parametrize(
    ("flags", "field", "expected"),
    [
        (["-w", "/srv"], "working_dir", "/srv"),
        (["-u", "1:2"], "user", "1:2"),
        (["-h", "web"], "hostname", "web"),
        (["-t"], "tty", True),
        (["-i"], "stdin_open", True),
        (["--read-only"], "read_only", True),
        (["--privileged"], "privileged", True),
        (["--init"], "init", True),
        (["--rm"], "auto_remove", True),
        (["-P"], "publish_all", True),
        (["--network", "host"], "network", "host"),
        (["--net", "none"], "network", "none"),
        (["--stop-signal", "SIGUSR1"], "stop_signal", "SIGUSR1"),
        (["--stop-timeout", "3"], "stop_timeout", 3),
        (["--shm-size", "1m"], "shm_size", 1 << 20),
        (["--pid", "host"], "pid_mode", "host"),
        (["--uts", "host"], "uts_mode", "host"),
    ],
)
def test_plain_fields(flags: list[str], field: str, expected: Any) -> None:
    assert getattr(config(*flags, "i"), field) == expected


@pytest.mark.parametrize(
    ("flags", "field", "expected"),
    [
        (["--cap-add", "NET_ADMIN", "--cap-add=SYS_TIME"], "cap_add", ["NET_ADMIN", "SYS_TIME"]),
        (["--cap-drop", "ALL"], "cap_drop", ["ALL"]),
        (["--dns", "1.1.1.1", "--dns", "::1"], "dns", ["1.1.1.1", "::1"]),
        (["--dns-search", "x.org"], "dns_search", ["x.org"]),
        (["--dns-opt", "ndots:2", "--dns-option", "a"], "dns_options", ["a", "ndots:2"]),
        (["--add-host", "a:1.2.3.4", "--add-host", "b=::1"], "extra_hosts", ["a:1.2.3.4", "b:::1"]),
        (["--group-add", "2000"], "group_add", ["2000"]),
        (["--expose", "80", "--expose", "90-91/udp"], "exposed_ports", ["80/tcp", "90/udp", "91/udp"]),
        (["-e", "A=1", "-e", "B="], "env", ["A=1", "B="]),
        (["--security-opt", "no-new-privileges"], "security_opts", ["no-new-privileges"]),
        (["--security-opt", "no-new-privileges:true"], "security_opts", ["no-new-privileges"]),
        (["--security-opt", "no-new-privileges=false"], "security_opts", []),
        (["--security-opt", "seccomp=unconfined"], "security_opts", ["seccomp=unconfined"]),
    ],
)  # fmt: skip
def test_lists(flags: list[str], field: str, expected: list[str]) -> None:
    assert list(getattr(config(*flags, "i"), field)) == expected


@pytest.mark.parametrize(
    ("flags", "field", "expected"),
    [
        (["--memory", "64m"], "memory", 64 << 20),
        (["-m", "1.5g"], "memory", 3 << 29),
        (["--cpus", "1.5"], "nano_cpus", 1_500_000_000),
        (["--cpus", ".25"], "nano_cpus", 250_000_000),
        (["--pids-limit", "10"], "pids_limit", 10),
        (["--memory-swap", "-1"], "memory_swap", -1),
        (["--cpu-shares", "512"], "cpu_shares", 512),
        (["--cpuset-cpus", "0-1"], "cpuset_cpus", "0-1"),
    ],
)
def test_resources(flags: list[str], field: str, expected: Any) -> None:
    assert getattr(config(*flags, "i").resources, field) == expected


def test_entrypoint_replaces_and_an_empty_one_removes() -> None:
    made = config("--entrypoint", "/bin/ls", "i", "-l")
    assert (made.override_entrypoint, list(made.entrypoint)) == (True, ["/bin/ls"])
    made = config("--entrypoint", "", "i")
    assert (made.override_entrypoint, list(made.entrypoint)) == (True, [])


def test_ports() -> None:
    made = config(
        "-p", "8080:80", "-p", "127.0.0.1:53:53/udp", "-p", "90", "-p", "10-12:20-22", "i"
    )
    assert [
        (p.host_ip, p.host_port, p.container_port, p.protocol, p.count) for p in made.ports
    ] == [
        ("", 8080, 80, "tcp", 1),
        ("127.0.0.1", 53, 53, "udp", 1),
        ("", 0, 90, "tcp", 1),
        ("", 10, 20, "tcp", 3),
    ]


def test_mounts() -> None:
    made = config(
        *("-v", "/src:/dst:ro", "-v", "data:/data", "-v", "/anon"),
        *("--mount", "type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave"),
        *("--tmpfs", "/tmp:size=1m,mode=1777,noexec"),
        "i",
    )
    assert [(m.type, m.source, m.target, m.read_only) for m in made.mounts] == [
        ("bind", "/src", "/dst", True),
        ("volume", "data", "/data", False),
        ("volume", "", "/anon", False),
        ("bind", "/a", "/b", True),
        ("tmpfs", "", "/tmp", False),
    ]
    assert [m.create_source for m in made.mounts] == [True, False, False, False, False]
    assert made.mounts[3].propagation == "rslave"
    tmpfs = made.mounts[4]
    assert (tmpfs.tmpfs_size, tmpfs.tmpfs_mode, list(tmpfs.tmpfs_options)) == (
        1 << 20,
        0o1777,
        ["noexec"],
    )


def test_relative_binds_are_of_this_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config("-v", "./x:/y", "i").mounts[0].source == str(tmp_path / "x")


def test_environment_of_files_and_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=file\nHERE\nABSENT\n")
    monkeypatch.setenv("HERE", "yes")
    monkeypatch.delenv("ABSENT", raising=False)
    made = config("--env-file", str(file), "-e", "A=flag", "i")
    assert list(made.env) == ["A=file", "HERE=yes", "A=flag"]


def test_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=1\nb\n")
    made = config("--label-file", str(file), "-l", "a=2", "--label", "c", "i")
    assert dict(made.labels) == {"a": "2", "b": "", "c": ""}


def test_ulimits_devices_sysctls_logs_and_platform() -> None:
    made = config(
        *("--ulimit", "nofile=10:20", "--device", "/dev/null:/dev/x:r"),
        *("--sysctl", "net.ipv4.ip_forward=1", "--log-driver", "none"),
        *("--log-opt", "max-size=1m", "--platform", "linux/arm64/v8"),
        "i",
    )
    assert [(u.name, u.soft, u.hard) for u in made.ulimits] == [("nofile", 10, 20)]
    device = made.devices[0]
    assert (device.host_path, device.container_path, device.permissions) == (
        "/dev/null",
        "/dev/x",
        "r",
    )
    assert dict(made.sysctls) == {"net.ipv4.ip_forward": "1"}
    assert (made.log.driver, dict(made.log.options)) == ("none", {"max-size": "1m"})
    assert (made.platform.architecture, made.platform.variant) == ("arm64", "v8")


def test_stdin_is_closed_with_the_one_who_runs_in_the_foreground() -> None:
    assert config("-i", "i").stdin_once
    assert not config("-i", "-d", "i").stdin_once
    assert not config("i").stdin_once


def test_a_seccomp_profile_is_read_here(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    made = config("--security-opt", f"seccomp={file}", "i")
    assert list(made.security_opts) == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-p", "x"], "invalid containerPort: x"),
        (["-p", "70000:80"], "invalid hostPort: 70000"),
        (["-p", "0"], "invalid containerPort: 0"),
        (["-p", "1-2:80-82"], "invalid ranges specified"),
        (["-p", "80/xyz"], "invalid proto: xyz"),
        (["-p", "1.2.3.999:80:80"], "invalid IP address: 1.2.3.999"),
        (["-v", "a:b"], "mount path must be absolute"),
        (["-v", "/a:/"], "destination can't be '/'"),
        (["-v", "/a:/b:xyz"], "invalid mode: xyz"),
        (["--mount", "foo=bar"], "unexpected key 'foo'"),
        (["--mount", "type=volume"], "target is required"),
        (["--mount", "type=bind,src=/a,dst=/b,tmpfs-size=1"], "cannot mix 'tmpfs-*' options"),
        (["--memory", "lots"], "invalid size: 'lots'"),
        (["--cpus", "many"], "invalid number of processors"),
        (["--cpus", "0.0000000001"], "value is too precise"),
        (["--ulimit", "nofile"], "invalid ulimit argument"),
        (["--ulimit", "nofile=20:10"], "soft limit must be less"),
        (["--ulimit", "nope=1"], "invalid ulimit type: nope"),
        (["--add-host", "a"], "bad format for add-host"),
        (["--add-host", "a:b"], "invalid IP address in add-host"),
        (["--dns", "x"], "invalid IP address: x"),
        (["-e", "=x"], "invalid environment variable"),
        (["--pull", "sometimes"], "invalid pull option"),
        (["--platform", "a/b/c/d"], "invalid platform"),
        (["--detach-keys", "ctrl-??"], "invalid key"),
        (["--env-file", "/nonexistent"], "open /nonexistent: no such file or directory"),
        (["--security-opt", "x"], 'invalid --security-opt: "x"'),
        (["--security-opt", "seccomp=/nonexistent"], "opening seccomp profile"),
        (["--device", "null"], "is not an absolute path"),
        (["--attach", "stdfoo"], "valid streams are STDIN"),
    ],
)
def test_wrong_values(flags: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        config(*flags, "i")
    assert message in caught.value.message
    assert caught.value.status == 125


def test_networks() -> None:
    first = NetworkAttachment(network="a", aliases=["x", "y"], ipv4_address="10.0.0.9")
    second = NetworkAttachment(network="b", gw_priority=-1, driver_opts={"k": "v"})
    flags = ["--network", "name=a,alias=x,alias=y", "--ip", "10.0.0.9"]
    built = config(*flags, "--network", "name=b,gw-priority=-1,driver-opt=K=v", "i")
    assert (built.network, list(built.networks)) == ("a", [first, second])
    assert not config("--network", "a", "i").networks
    [only] = config(
        "--mac-address", "02:42:ac:11:00:09", "--link-local-ip", "169.254.1.1", "i"
    ).networks
    assert only == NetworkAttachment(
        mac_address="02:42:ac:11:00:09", link_local_ips=["169.254.1.1"]
    )
    with pytest.raises(UsageError, match="conflicting options"):
        config("--network", "name=a,alias=x", "--network-alias", "y", "i")


@pytest.mark.parametrize(
    "flag",
    [
        "--memory=99999999999P",
        "--device-read-iops=/dev/sda:99999999999999999999",
        "--hugepages=2MB=99999999999P",
        "--time-offset=boottime=9999999999",
        "--health-retries=2147483648",
        "--memory-swappiness=2147483648",
        "--ulimit=nofile=99999999999999999999",
        "--tmpfs=/t:size=1e300",
    ],
)
def test_numbers_without_room_are_wrong_usage(flag: str) -> None:
    with pytest.raises(UsageError, match=r"out of range|invalid size"):
        config(flag, "i")


def test_an_update_has_the_same_bounds() -> None:
    (verb,) = update.VERBS
    options = parse(verb.flags, ["--blkio-weight=2147483648", "x"])
    with pytest.raises(UsageError, match="out of range"):
        verb.run(options, Context())
