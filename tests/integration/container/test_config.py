"""What is asked for at creation is what the process finds."""

from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import ContainerSetupFailed, UlimitRefused
from tests.integration.container.node import Node, eventually, fails


def sh(node: Node, script: str, **fields: object) -> str:
    code, output = node.output("sh", "-c", script, **fields)
    assert code == 0, output
    return output.strip()


def test_user_env_directory_and_umask(node: Node) -> None:
    script = "id -u; id -g; pwd; echo $A-$HOME; touch /tmp/f; stat -c %a /tmp/f; hostname"
    found = sh(
        node, script, user="app", env=["A=1"], working_dir="/home/app", umask=0o077, hostname="me"
    )
    assert found.split() == ["1000", "1000", "/home/app", "1-/home/app", "600", "me"]


# What Docker (20.10.24) gives for these files and flags: the primary group is always one of them.
GROUPS = [
    ("", (), "0"),
    ("app", (), "1000 2000"),
    ("1000", (), "1000 2000"),
    ("1000:2000", (), "2000"),
    ("0:5", (), "5"),
    ("1234", (), "0"),
    ("1234:77", (), "77"),
    (":5", (), "5"),
    ("app", ("4000", "1000"), "1000 2000 4000"),
    ("1000:2000", ("4000", "app"), "1000 2000 4000"),
    ("1234", ("extra",), "0 2000"),
]
_SHOW_GROUPS = "grep Groups: /proc/self/status | cut -f2"


@pytest.mark.parametrize(("user", "added", "expected"), GROUPS)
def test_groups(node: Node, user: str, added: tuple[str, ...], expected: str) -> None:
    assert sh(node, _SHOW_GROUPS, user=user, group_add=added) == expected


def test_groups_of_an_exec(node: Node) -> None:
    """Those of its user, and what --group-add gave to the container, as in Docker."""
    container = node.run_detached("sleep", "60", user="app", group_add=["4000"])
    for user, expected in (
        ("", "1000 2000 4000"),
        ("1000:2000", "2000 4000"),
        ("0", "0 4000"),
        ("0:5", "5 4000"),
        ("1234", "0 4000"),
    ):
        code, output = node.exec(container.id, "sh", "-c", _SHOW_GROUPS, user=user)
        assert (code, output.split()) == (0, expected.split())
    node.remove(container.id)


def test_the_primary_group_stays_behind_a_setgid_program(node: Node) -> None:
    """What the user's own group may not do, it may not do through a program that changes the group (CVE-2022-36109)."""
    container = node.run_detached("sleep", "60", user="app")
    script = (
        "cp /bin/busybox /bin/id2 && chown root:extra /bin/id2 && chmod 2755 /bin/id2 && "
        "echo secret > /denied && chown root:app /denied && chmod 604 /denied"
    )
    assert node.exec(container.id, "sh", "-c", script, user="0")[0] == 0
    link = "ln -s /bin/id2 /tmp/cat && /tmp/cat /denied"
    code, output = node.exec(container.id, "sh", "-c", link, user="1000:1000")
    assert code != 0
    assert "secret" not in output
    node.remove(container.id)


def test_a_ulimit_that_cannot_be_given(node: Node) -> None:
    container = node.create("true", ulimits=[pb.Ulimit(name="nofile", soft=9, hard=2**31 - 1)])
    with fails(UlimitRefused) as found:
        node.stub.Start(pb.StartRequest(container=container.id))
    assert found[0].which == "nofile"
    assert "2147483647" in found[0].message
    assert found[0].metadata["do"].startswith("ask for at most")
    assert node.get(container.id).exit_code == 128
    node.remove(container.id)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "00000000a80425fb"),
        ({"cap_add": ["NET_ADMIN"], "cap_drop": ["CHOWN"]}, "00000000a80435fa"),
        ({"cap_drop": ["ALL"]}, "0000000000000000"),
    ],
)
def test_capabilities(node: Node, fields: dict[str, object], expected: str) -> None:
    assert sh(node, "grep CapBnd /proc/self/status | cut -f2", **fields) == expected


def test_seccomp_and_privileges(node: Node) -> None:
    script = "grep -e ^Seccomp: -e ^NoNewPrivs /proc/self/status | cut -f2; unshare -m true 2>&1"
    assert sh(node, f"{script} || echo denied").split()[:2] == ["0", "2"]
    assert "denied" in sh(node, f"{script} || echo denied")
    found = sh(
        node,
        script,
        security_opts=["no-new-privileges", "seccomp=unconfined"],
        cap_add=["SYS_ADMIN"],
    )
    assert found.split() == ["1", "0"]


def test_what_is_hidden_and_protected(node: Node) -> None:
    script = "wc -c < /proc/keys 2>/dev/null; echo x > /proc/sysrq-trigger && echo open; echo end"
    assert "open" not in sh(node, script)
    assert sh(node, "touch /sys/x 2>/dev/null || echo ro") == "ro"


def test_read_only_root_with_a_tmpfs(node: Node) -> None:
    mounts = [pb.MountSpec(type="tmpfs", target="/scratch", tmpfs_size=1 << 20)]
    script = "touch /x 2>/dev/null && echo open; touch /scratch/x && df -k /scratch | tail -1"
    assert "1024" in sh(node, script, read_only=True, mounts=mounts).split()
    assert "open" not in sh(node, script, read_only=True, mounts=mounts)


def test_limits(node: Node) -> None:
    script = "ulimit -n; cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    found = sh(
        node,
        script,
        resources=pb.Resources(memory=32 << 20, pids_limit=50, nano_cpus=500_000_000),
        ulimits=[pb.Ulimit(name="nofile", soft=123, hard=456)],
    )
    assert found.split() == ["123", str(32 << 20)]


def test_out_of_memory_is_reported(node: Node) -> None:
    container = node.run_detached(
        "sh", "-c", "x=a; while :; do x=$x$x; done", resources=pb.Resources(memory=16 << 20)
    )
    ended = node.wait(container.id)
    assert ended.exit_code == 137
    assert ended.oom_killed
    assert node.get(container.id).oom_killed
    assert node.actions(container.id, 4) == ["create", "start", "oom", "die"]
    node.remove(container.id)


def test_namespaces_of_the_host(node: Node) -> None:
    def link(kind: str, **fields: object) -> bool:
        mine = Path(f"/proc/self/ns/{kind}").readlink().name
        return sh(node, f"readlink /proc/1/ns/{kind}", cap_add=["SYS_PTRACE"], **fields) == mine

    assert not link("ipc")
    assert link("ipc", ipc_mode="host")
    assert link("uts", uts_mode="host")
    assert link("net", network="host")
    assert link("cgroup", cgroupns_mode="host")
    pids = sh(node, "ls -d /proc/[0-9]* 2>/dev/null | wc -l", pid_mode="host")
    assert int(pids) > 10


def test_namespaces_of_another_container(node: Node) -> None:
    other = node.run_detached("sleep", "60", ipc_mode="shareable", name="donor")
    node.exec("donor", "sh", "-c", "echo shared > /dev/shm/f")
    assert sh(node, "cat /dev/shm/f", ipc_mode="container:donor") == "shared"
    assert "sleep 60" in sh(node, "ps", pid_mode="container:donor")
    node.remove(other.id)


def test_shared_memory_of_several_containers_has_a_size(node: Node) -> None:
    other = node.run_detached("sleep", "60", ipc_mode="shareable", name="donor", shm_size=1 << 20)
    joiner = node.run_detached("sleep", "60", ipc_mode="container:donor", name="joiner")
    too_much = "dd if=/dev/zero of=/dev/shm/f bs=64k count=32 2>&1 | grep -c 'No space left'"
    for name in ("donor", "joiner"):
        assert node.exec(name, "sh", "-c", too_much) == (0, "1\n")
        # Both see that it is full, and what is written; nothing of it is on the host.
        assert node.exec("joiner", "stat", "-c", "%s", "/dev/shm/f") == (0, f"{1 << 20}\n")
        assert node.exec("donor", "rm", "/dev/shm/f") == (0, "")
        assert not any(node.run.rglob("shm"))
    assert node.exec("joiner", "sh", "-c", "echo kept > /dev/shm/g") == (0, "")
    node.remove(other.id)
    assert node.exec("joiner", "cat", "/dev/shm/g") == (0, "kept\n")
    node.remove(joiner.id)


def test_shared_memory_is_not_looked_for_by_links(node: Node) -> None:
    """A container that sees the host's processes could name directories of the host by links."""
    script = "umount /dev/shm && rmdir /dev/shm && ln -s /proc/1/root/etc /dev/shm && sleep 60"
    donor = node.run_detached(
        "sh",
        "-c",
        script,
        name="donor",
        ipc_mode="shareable",
        pid_mode="host",
        cap_add=["SYS_ADMIN"],
        security_opts=["seccomp=unconfined"],
    )
    eventually(lambda: node.exec("donor", "readlink", "/dev/shm")[0] == 0)
    joiner = node.create("ls", "/dev/shm", ipc_mode="container:donor")
    with fails(ContainerSetupFailed):
        node.stub.Start(pb.StartRequest(container=joiner.id))
    node.remove(joiner.id)
    node.remove(donor.id)


def test_init_reaps_and_is_process_one(node: Node) -> None:
    assert sh(node, "echo $$", init=True) != "1"
    assert sh(node, "echo $$") == "1"


def test_devices(node: Node) -> None:
    script = (
        "head -c 1 /dev/full2 | wc -c; head -c1 /dev/kmsg >/dev/null 2>&1 && echo open; echo end"
    )
    devices = [pb.Device(host_path="/dev/full", container_path="/dev/full2")]
    assert sh(node, script, devices=devices).split() == ["1", "end"]
    assert sh(node, "ls /dev/loop-control /dev/kmsg 2>/dev/null | wc -l; echo", privileged=True)


def test_sysctls_and_shared_memory(node: Node) -> None:
    script = "cat /proc/sys/net/core/somaxconn; df -k /dev/shm | tail -1"
    found = sh(node, script, sysctls={"net.core.somaxconn": "77"}, shm_size=1 << 20).split()
    assert found[0] == "77"
    assert "1024" in found


def test_extra_hosts_and_dns(node: Node) -> None:
    script = "grep -c 10.9.8.7 /etc/hosts; grep -c 1.2.3.4 /etc/resolv.conf"
    assert sh(node, script, extra_hosts=["box:10.9.8.7"], dns=["1.2.3.4"]).split() == ["1", "1"]


def test_no_network(node: Node) -> None:
    assert sh(node, "ls /sys/class/net", network="none") == "lo"
