"""firewalld on a host of its own: Debian's, with its bus, in a root file system that is made once a machine.

It is not a package that the tests install: it would guard the machine of whoever runs them from the next boot on.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.support import processes
from tests.support.images import CACHE, _locked

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""
# netbase has them, which a minimal system lacks; without "esp" firewalld ends.
_PROTOCOLS = "icmp 1\nigmp 2\ntcp 6\nudp 17\ngre 47\nesp 50\nah 51\nipv6-icmp 58\nsctp 132\n"
_START = """#!/bin/sh
mount -t proc proc /proc
dbus-daemon --config-file=/bus.conf --nofork --nopidfile &
while [ ! -S /run/bus ]; do sleep 0.1; done
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
exec firewalld --nofork --nopid
"""


def _base() -> Path:
    """Return the tar of a Debian system with firewalld."""
    path = CACHE / "firewalld-bookworm.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / "firewalld.lock"):
        if not path.exists():
            partial = path.with_suffix(".partial")
            command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=firewalld"]
            left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale")]
            subprocess.run(
                [*command, *left_out, "--format=tar", "bookworm", str(partial)], check=True
            )
            partial.rename(path)
    return path


class Firewalld:
    """A running firewalld.

    Args:
        net: Path of the network namespace that it guards.
    """

    def __init__(self, net: str) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="scow-firewalld-"))
        subprocess.run(["tar", "-C", self._root, "-xf", _base()], check=True)
        (self._root / "bus.conf").write_text(_BUS)
        (self._root / "etc/protocols").write_text(_PROTOCOLS)
        start = self._root / "start"
        start.write_text(_START)
        start.chmod(0o755)
        self._prefix = ["nsenter", f"--net={net}"]
        # In a mount namespace and with PIDs of its own: with the first process all of it ends.
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot", str(self._root)]
        self._log = (self._root / "log").open("wb")
        self._process = subprocess.Popen(
            [*self._prefix, *own, "/start"], stdout=self._log, stderr=self._log
        )
        try:
            processes.wait_for(lambda: self._ask("--state") == 0, "firewalld", 60)
        except BaseException:
            self.close()
            raise

    def _ask(self, *words: str) -> int:
        bus = "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus"
        command = ["chroot", str(self._root), "env", bus, "firewall-cmd", *words]
        return subprocess.run([*self._prefix, *command], capture_output=True).returncode

    def command(self, *words: str) -> None:
        """Run `firewall-cmd`."""
        assert self._ask(*words) == 0, f"firewall-cmd {words}: {(self._root / 'log').read_text()}"

    def __enter__(self) -> Firewalld:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._root)
