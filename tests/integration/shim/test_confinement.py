"""What a container cannot see, reach or do."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from scow.contract.errors import ScowError
from scow.shim.confine import capabilities
from tests.integration.shim.bundles import DEFAULT_SECCOMP, config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import Result, reason

KINDS = ("mnt", "uts", "ipc", "pid", "net", "cgroup")


def shell(box: MakeBox, script: str, **linux: object) -> Result:
    made = config(args=["sh", "-c", script])
    made["linux"].update(linux)
    return box(made).run()


def test_every_namespace_is_its_own(box: MakeBox) -> None:
    result = shell(box, f"for n in {' '.join(KINDS)}; do readlink /proc/self/ns/$n; done; hostname")
    *links, name = result.text.split("\n")
    for kind, link in zip(KINDS, links, strict=True):
        assert link.startswith(f"{kind}:[")
        assert link != os.readlink(f"/proc/self/ns/{kind}")
    assert name == "box"


def test_it_sees_its_own_processes_and_links_alone(box: MakeBox) -> None:
    result = shell(box, "echo $$; ls -d /proc/[0-9]*; ls /sys/class/net; cat /proc/self/cgroup")
    pid, *rest = result.text.split("\n")
    assert pid == "1"
    assert {line for line in rest if line.startswith("/proc")} <= {"/proc/1", "/proc/2"}
    assert "lo" in rest
    assert all(line.endswith(":/") for line in rest if re.match(r"\d+:", line))


def test_a_joined_network_namespace(box: MakeBox) -> None:
    first = box(config(args=["sleep", "1000"])).start()
    made = config(args=["readlink", "/proc/self/ns/net"])
    for entry in made["linux"]["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = first.netns
    assert box(made).run().text == os.readlink(first.netns)


def test_joined_pid_namespace_and_the_hosts(box: MakeBox) -> None:
    first = box(config(args=["sleep", "1000"])).start()
    made = config(args=["cat", "/proc/1/cmdline"])
    for entry in made["linux"]["namespaces"]:
        if entry["type"] == "pid":
            entry["path"] = f"/proc/{first.ids.pid}/ns/pid"
    assert box(made).run().out == b"sleep\x001000\0"
    host = config(args=["readlink", "/proc/self/ns/pid"])
    host["linux"]["namespaces"] = [e for e in host["linux"]["namespaces"] if e["type"] != "pid"]
    assert box(host).run().text == os.readlink("/proc/self/ns/pid")


def test_what_a_container_of_the_hosts_pids_leaves_is_killed(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "sleep 4242 & echo $!"])
    made["linux"]["namespaces"] = [e for e in made["linux"]["namespaces"] if e["type"] != "pid"]
    container = box(made)
    pid = int(container.run().text)
    container.end()
    assert not Path(f"/proc/{pid}").exists()


def test_an_unsupported_namespace_is_named(box: MakeBox) -> None:
    made = config()
    made["linux"]["namespaces"].append({"type": "odd"})
    with pytest.raises(ScowError) as raised:
        box(made).spawn()
    assert raised.value.reason == "NAMESPACE_UNSUPPORTED"
    assert raised.value.metadata["which"] == "odd"


@pytest.mark.parametrize(
    "command",
    [
        "unshare -m true",
        "unshare -n true",
        "unshare -p true",
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "mount -o remount,rw /sys",
        "date -s 2020-01-01",
    ],
)
@pytest.mark.parametrize("guard", ["seccomp and capabilities", "seccomp alone"])
def test_the_default_profile_denies(box: MakeBox, command: str, guard: str) -> None:
    made = config(args=["sh", "-c", command])
    made["linux"]["seccomp"] = DEFAULT_SECCOMP
    if guard == "seccomp alone":
        every = [
            name
            for number, name in enumerate(capabilities.NAMES)
            if capabilities.held() >> number & 1
        ]
        made["process"]["capabilities"] = dict.fromkeys(
            ("bounding", "effective", "permitted"), every
        )
    result = box(made).run()
    assert re.search(rb"not permitted|denied|are you root", result.err), result


def test_keyctl_and_friends_are_eperm(box: MakeBox) -> None:
    # No program of busybox calls keyctl: a filter of the same kind on a call that busybox makes shows the errno.
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
            {"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_KILL_PROCESS"},
        ],
    }
    result = shell(box, "mkdir /x; chmod 700 /tmp; ln -s a /b; echo $?", seccomp=profile)
    assert b"No space left" in result.err
    assert b"not permitted" in result.err
    assert result.text == "159"  # 128 + SIGSYS


def test_a_conditional_rule(box: MakeBox) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": ["kill"],
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }
    result = shell(box, "kill -0 $$ && echo zero; kill -10 $$ || echo ten", seccomp=profile)
    assert result.text == "zero\nten"


def test_default_capabilities(box: MakeBox) -> None:
    lines = shell(box, "grep Cap /proc/self/status").text.split()
    sets = dict(zip(lines[::2], lines[1::2], strict=True))
    default = "00000000a80425fb"
    none = "0" * 16
    assert sets == {
        "CapInh:": none, "CapPrm:": default, "CapEff:": default, "CapBnd:": default, "CapAmb:": none,
    }  # fmt: skip


def test_capabilities_of_a_user(box: MakeBox) -> None:
    made = config(args=["grep", "Cap", "/proc/self/status"])
    made["process"]["user"] = {"uid": 1000, "gid": 1000}
    made["process"]["capabilities"] = {
        kind: ["CAP_NET_BIND_SERVICE"]
        for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    values = box(made).run().text.split()[1::2]
    assert values == [f"{1 << 10:016x}"] * 5


def test_capabilities_that_the_engine_lacks_are_a_warning(box: MakeBox) -> None:
    lacking = [
        name
        for number, name in enumerate(capabilities.NAMES)
        if not capabilities.held() >> number & 1
    ]
    if not lacking:
        pytest.skip("this engine holds every capability")
    made = config(args=["true"])
    made["process"]["capabilities"]["bounding"] = lacking
    container = box(made)
    assert container.run().code == 0
    assert lacking[0] in (container.state / "state.json").read_text()


def test_a_read_only_root(box: MakeBox) -> None:
    made = config(
        args=["sh", "-c", "touch /x; touch /dev/shm/y && echo shm; touch /tmp/z && echo tmp"]
    )
    made["root"]["readonly"] = True
    made["mounts"].append(
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []}
    )
    result = box(made).run()
    assert b"Read-only file system" in result.err
    assert result.text == "shm\ntmp"


def test_tmpfs_with_size_and_mode(box: MakeBox) -> None:
    made = config(
        args=["sh", "-c", "stat -c %a /scratch; dd if=/dev/zero of=/scratch/f bs=1M count=3"]
    )
    made["mounts"].append(
        {
            "destination": "/scratch",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["size=1m", "mode=1750", "noexec"],
        }
    )
    result = box(made).run()
    assert result.text == "1750"
    assert b"No space left" in result.err


def test_masked_and_read_only_paths(box: MakeBox) -> None:
    script = (
        "cat /proc/kcore | wc -c; cat /proc/keys | wc -c; ls /sys/firmware | wc -l;"
        "echo 1 >/proc/sys/kernel/domainname; echo x >/sys/firmware/x; echo h >/proc/sysrq-trigger"
    )
    result = shell(box, script)
    assert result.text.split() == ["0", "0", "0"]
    assert result.err.count(b"Read-only file system") == 2 + Path("/proc/sysrq-trigger").exists()


def test_no_new_privileges(box: MakeBox) -> None:
    made = config(args=["grep", "NoNewPrivs", "/proc/self/status"])
    assert box(made).run().text.split()[1] == "0"
    made["process"]["noNewPrivileges"] = True
    made["linux"]["seccomp"] = DEFAULT_SECCOMP
    assert box(made).run().text.split()[1] == "1"


def test_umask_and_working_directory(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "pwd; umask; touch f; stat -c '%a %u' f ."], cwd="/made/for/it")
    made["process"]["user"] = {"umask": 0o027}
    assert box(made).run().text.split("\n") == ["/made/for/it", "0027", "640 0", "755 0"]


def test_resource_limits(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -Sc"])
    made["process"]["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 123, "hard": 456},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]
    assert box(made).run().text.split() == ["123", "456", "0"]


def test_a_limit_that_may_not_be_raised_fails_and_names_the_bound(box: MakeBox) -> None:
    """As in Docker; never lowered in silence. 2**31 - 1 files are above fs.nr_open, whatever this engine may do."""
    limit = {"type": "RLIMIT_NOFILE", "soft": 2**31 - 1, "hard": 2**31 - 1}
    container = box(config(rlimits=[limit])).spawn()
    with pytest.raises(ScowError) as raised:
        container.start()
    assert reason(raised.value) == "ULIMIT_REFUSED"
    assert raised.value.metadata["which"] == "nofile"


def test_sysctls_of_own_namespaces(box: MakeBox) -> None:
    made = config(args=["cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"])
    made["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80"}
    assert box(made).run().text == "80"


@pytest.mark.parametrize("name", ["kernel.panic", "net.ipv4/../../kernel/panic", "vm.swappiness"])
def test_sysctls_of_the_host_are_refused(box: MakeBox, name: str) -> None:
    made = config()
    made["linux"]["sysctl"] = {name: "1"}
    container = box(made).spawn()
    with pytest.raises(ScowError) as raised:
        container.launch()
    assert reason(raised.value) == "INVALID_CONFIG"
    assert raised.value.metadata["which"] == name


def test_devices(box: MakeBox) -> None:
    script = (
        "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done;"
        "for l in fd stdin ptmx; do readlink /dev/$l; done; head -c 4 /dev/zero | wc -c;"
        "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk; mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem"
    )
    result = shell(box, script)
    assert result.text.split() == ["/proc/self/fd", "/proc/self/fd/0", "pts/ptmx", "4"]
    assert result.err.count(b"Operation not permitted") == 2


def test_a_device_of_the_configuration(box: MakeBox) -> None:
    made = config(
        args=["sh", "-c", "stat -c '%a %u %t:%T' /dev/custom; head -c 3 /dev/custom | wc -c"]
    )
    device = {
        "path": "/dev/custom",
        "type": "c",
        "major": 1,
        "minor": 5,
        "fileMode": 0o640,
        "uid": 7,
    }
    made["linux"]["devices"] = [device]
    assert box(made).run().text.split() == ["640", "7", "1:5", "3"]


def test_cgroups_are_shown_read_only(box: MakeBox) -> None:
    script = (
        "ls /sys/fs/cgroup | head -n 1; find /sys/fs/cgroup -name cgroup.procs | head -n 1 |"
        " while read f; do cat $f; echo 1 >$f; done"
    )
    result = shell(box, script)
    name, *processes = result.text.split()
    assert name
    assert "1" in processes
    assert b"Read-only file system" in result.err


def test_the_engines_program_cannot_be_written(box: MakeBox) -> None:
    # A container that names /proc/self/exe executes the engine's interpreter; it must not get to change it.
    made = config(args=["/proc/self/exe", "-c", "open('/proc/self/exe', 'r+b')"])
    container = box(made).spawn()
    attached = container.attach()
    try:
        container.start()
    except ScowError as error:
        assert reason(error) in {"COMMAND_NOT_FOUND", "COMMAND_NOT_EXECUTABLE"}
        return
    assert attached.finish().code != 0


def in_the_hosts_pid_namespace(args: list[str], **fields: object) -> dict[str, Any]:
    made = config(args=args, **fields)
    kept = [entry for entry in made["linux"]["namespaces"] if entry["type"] != "pid"]
    made["linux"]["namespaces"] = kept
    return made


def test_a_working_directory_is_not_made_by_way_of_proc(box: MakeBox, tmp_path: Path) -> None:
    """In the host's pid namespace /proc/1/root is the host's root directory."""
    container = box(in_the_hosts_pid_namespace(["pwd"], cwd="/work/made"))
    (container.bundle / "upper/work").symlink_to(f"/proc/1/root{tmp_path}")
    with pytest.raises(ScowError) as raised:
        container.run()
    assert raised.value.metadata["what"] == "cwd"
    assert list(tmp_path.iterdir()) == []


def test_users_are_not_looked_up_by_way_of_proc(box: MakeBox, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("onlyhost:x:1234:1234::/:/bin/sh\n")
    made = in_the_hosts_pid_namespace(["id"], user={"uid": 0, "gid": 0, "username": "onlyhost"})
    container = box(made)
    (container.bundle / "upper/etc").mkdir()
    (container.bundle / "upper/etc/passwd").symlink_to(f"/proc/1/root{tmp_path}/passwd")
    with pytest.raises(ScowError) as raised:
        container.run()
    assert reason(raised.value) == "USER_NOT_FOUND"


def test_a_working_directory_cannot_leak_the_host(box: MakeBox) -> None:
    for number in range(3, 12):
        container = box(config(args=["ls", "."], cwd=f"/proc/self/fd/{number}")).spawn()
        with pytest.raises(ScowError) as raised:
            container.start()
        assert reason(raised.value) == "COMMAND_NOT_EXECUTABLE"


def test_no_descriptor_of_the_engine_is_open(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "ls -l /proc/self/fd; sleep 1000"])).spawn()
    container.start()
    listing = container.output("ls", "/proc/1/fd").split()
    assert listing == ["0", "1", "2"]
    session = container.output("ls", "/proc/self/fd").split()
    assert session == ["0", "1", "2", "3"]  # 3: the directory that ls reads


def test_no_mount_of_a_container_is_on_the_host(box: MakeBox) -> None:
    before = Path("/proc/self/mountinfo").read_text().count("\n")
    container = box(config(args=["sleep", "1000"])).start()
    text = Path("/proc/self/mountinfo").read_text()
    assert str(container.bundle) not in text
    assert text.count("\n") <= before + 20  # other tests may mount meanwhile


def test_apparmor(box: MakeBox) -> None:
    made = config(args=["cat", "/proc/self/attr/current"])
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    made["process"]["apparmorProfile"] = "scow-no-such-profile"
    if enabled.exists() and enabled.read_text().startswith("Y"):
        with pytest.raises(ScowError) as raised:
            box(made).start()
        assert reason(raised.value) == "KERNEL_UNSUPPORTED"
        assert raised.value.metadata["which"] == "scow-no-such-profile"
        made["process"]["apparmorProfile"] = "unconfined"
        assert box(made).run().text.startswith("unconfined")
        made["process"]["apparmorProfile"] = "scow-default"
        assert box(made).run().text.startswith("scow-default (enforce)")
        mount = "mount -t tmpfs x /tmp 2>&1; echo > /proc/sys/vm/swappiness"
        made["process"]["args"] = ["sh", "-c", f"{mount} || echo refused"]
        every = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]
        sets = dict.fromkeys(("bounding", "effective", "permitted"), every)
        made["process"]["capabilities"] = sets
        made["linux"].pop("seccomp", None)
        made["linux"]["readonlyPaths"] = []
        assert "denied" in (out := box(made).run().text)
        assert "refused" in out
    else:
        with pytest.raises(ScowError) as refused:
            box(made).start()
        assert refused.value.metadata["which"] == "scow-no-such-profile"
