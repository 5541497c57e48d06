"""Volumes on NFS servers: in the virtual machine alone, whose kernel has the client and the server."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.volume.v1 import volume_pb2
from scow.contract.errors import MountFailed
from tests.integration.container.node import Node, fails
from tests.support.processes import wait_for

_NAMESPACE, _ADDRESS = "nfs-server", "10.77.0.2"
_LINK = f"""
ip netns add {_NAMESPACE}
ip link add nfs-host type veth peer name eth0 netns {_NAMESPACE}
ip addr add 10.77.0.1/24 dev nfs-host
ip link set nfs-host up
ip -n {_NAMESPACE} addr add {_ADDRESS}/24 dev eth0
ip -n {_NAMESPACE} link set eth0 up
ip -n {_NAMESPACE} link set lo up
"""
# With the shortest grace period, in which clients of a server that was there before can claim their locks.
_SERVE_NFS = """
mkdir -p /run/rpc_pipefs
mount -t nfsd nfsd /proc/fs/nfsd
echo 10 > /proc/fs/nfsd/nfsv4gracetime
exportfs -i -o rw,no_root_squash,insecure,no_subtree_check,fsid=0 '*:FOLDER'
rpc.nfsd --debug --no-udp --no-nfs-version 3 2
exec rpc.mountd --foreground --no-udp --no-nfs-version 3
"""
# Of a machine as it is; emulated ones wait longer.
_START_SECONDS = 5.0


def shell(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True)


@contextmanager
def serving(
    command: list[str], port: int, enter: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; `enter` is a command that enters its network namespace."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)

        def listens() -> bool:
            log.seek(0)
            assert server.poll() is None, log.read()
            shown = subprocess.run([*enter, "ss", "-ltn"], capture_output=True, check=True).stdout
            return f":{port} ".encode() in shown

        try:
            wait_for(listens, "the server", _START_SECONDS)
            yield server
        finally:
            server.terminate()
            server.wait()
            log.seek(0)
            print(log.read().decode(errors="replace"))


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as running:
        yield running


@pytest.fixture
def exported(tmp_path: Path) -> Iterator[Path]:
    """A folder that an NFS server in a network namespace exports."""
    shell(_LINK)
    script = _SERVE_NFS.replace("FOLDER", str(tmp_path))
    command = ["ip", "netns", "exec", _NAMESPACE, "sh", "-ec", script]
    enter = ["nsenter", f"--net=/run/netns/{_NAMESPACE}"]
    with serving(command, 2049, enter) as server:
        yield tmp_path
        inside = ["nsenter", "-t", str(server.pid), "--net", "--mount", "rpc.nfsd", "0"]
        subprocess.run(inside, check=True)
    shell(f"ip link del nfs-host; ip netns del {_NAMESPACE}")


@contextmanager
def volume(node: Node, **options: str) -> Iterator[list[pb.MountSpec]]:
    node.volume.Create(volume_pb2.CreateRequest(name="remote", options=options))
    yield [pb.MountSpec(type="volume", source="remote", target="/x")]
    node.volume.Remove(volume_pb2.RemoveRequest(name="remote"))


def use(node: Node, mounts: list[pb.MountSpec], folder: Path, kind: str) -> None:
    """Use a volume from two containers: mounted by the first one, with the second one, until both have ended."""
    (folder / "there").write_text("there before\n")
    script = "cat /x/there; echo written > /x/new; exec sleep 600"
    first = node.run_detached("sh", "-c", script, mounts=mounts)
    wait_for(lambda: (folder / "new").exists(), "what the container writes")
    code, said = node.output("sh", "-c", "cat /x/new; grep ' /x ' /proc/mounts", mounts=mounts)
    assert code == 0
    assert said.startswith("written\n")
    assert f" /x {kind}" in said
    assert node.logs(first.id) == "there before\n"
    assert kind not in Path("/proc/self/mountinfo").read_text()
    node.remove(first.id)


@pytest.mark.parametrize("device", ["", _ADDRESS])
def test_nfs(node: Node, exported: Path, device: str) -> None:
    options = {"type": "nfs", "device": f"{device}:/", "o": f"addr={_ADDRESS},vers=4.2,rw"}
    with volume(node, **options) as mounts:
        use(node, mounts, exported, "nfs4")


def test_a_server_that_has_no_such_folder(node: Node, exported: Path) -> None:
    options = {"type": "nfs", "device": ":/no/such", "o": f"addr={_ADDRESS},vers=4.2"}
    with volume(node, **options) as mounts:
        created = node.create("true", mounts=mounts)
        with fails(MountFailed) as caught:
            node.stub.Start(pb.StartRequest(container=created.id))
        assert "could not mount nfs at /x" in str(caught[0])
        node.remove(created.id)
