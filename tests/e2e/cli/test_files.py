"""`diff` and `cp`, beside dockerd's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine
from tests.support.peers import Docker, Net

pytestmark = pytest.mark.xdist_group("files-like-docker")

CHANGES = """
mkdir -p /home/app/x; rm /bin/awk; chmod 700 /var; echo x > /etc/passwd; echo y > /etc/new
mkdir -p /a/b/c; touch /a/b/f; rm -r /home/app; mkdir /home/app; touch /home/app/z; touch /tmp/t; rm /tmp/t
rm -r /var/www; touch /var/www; rm /bin/top; mkdir /bin/top; touch /bin/top/x; mkdir /root/q; rmdir /root/q
ln -s a /lnk; chown 5 /etc/group; mkfifo /fifo; mknod /null c 1 3
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    net = Net()
    with Docker(net) as docker:
        docker.cli("import", "-", "busybox", stdin=rootfs_tar())
        yield docker
    net.close()


def test_diff_tells_what_dockers_tells(engine: Engine, docker: Docker) -> None:
    make = ("run", "--network=none", "--name=changed", "-v=/data/inner", "busybox", "sh", "-c")
    docker.cli(*make, CHANGES)
    engine.cli(*make, CHANGES)
    told = engine.cli("diff", "changed").stdout.splitlines()
    assert sorted(told) == sorted(docker.cli("diff", "changed").splitlines())
    assert told[:3] == ["A /a", "A /a/b", "A /a/b/c"]


def test_diff_of_a_running_container_and_of_none(engine: Engine) -> None:
    engine.cli("run", "-d", "--network=none", "--name=runs", "busybox", "sleep", "1000")
    assert engine.cli("container", "diff", "runs").stdout == ""
    engine.cli("exec", "runs", "sh", "-c", "echo > /made")
    assert engine.cli("diff", "runs").stdout == "A /made\n"
    refused = engine.cli("diff", "nobody", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no such container: nobody" in refused.stderr
