import os
import subprocess
import threading

import pytest

from scow.contract.errors import LinkFailed
from scow.network.kernel import netns
from tests.support.processes import wait_for


def test_identity_tells_namespaces_apart() -> None:
    own = netns.current_identity("/proc/self/ns/net")
    assert own == netns.current_identity("/proc/thread-self/ns/net")
    command = ["unshare", "--map-root-user", "--net", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as inside:
        path = f"/proc/{inside.pid}/ns/net"
        wait_for(lambda: netns.current_identity(path) not in ("", own), "another namespace")
    assert netns.current_identity("/nonesuch") == ""


def test_a_namespace_that_is_gone() -> None:
    with pytest.raises(LinkFailed) as caught, netns.opened("/proc/0/ns/net"):
        pass
    assert caught.value.which == "/proc/0/ns/net"


def test_the_hosts_own_namespace_is_refused() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LinkFailed, match="own"), netns.opened("/proc/self/ns/net"):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(LinkFailed, match="thread"):
            netns.inside(descriptor, os.getpid)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(descriptor)
