"""The systemd units, under systemd: run in the virtual machine alone (`make test-vm`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.busybox import rootfs_tar
from tests.support.engine import PROJECT
from tests.support.net import http_get

UNITS = Path("/etc/systemd/system")
SERVICES = ("image", "volume", "network", "container")
HOST = "unix:///run/scow"


def scow(*arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "scow.cli", "-H", HOST, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr.decode()}{journal()}"
    return done.stdout.decode()


def systemctl(*arguments: str) -> str:
    return subprocess.run(
        ["systemctl", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def journal() -> str:
    return subprocess.run(
        ["journalctl", "-u", "scow-*", "-n", "60", "--no-pager"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout


@pytest.fixture(scope="module", autouse=True)
def units() -> Iterator[None]:
    """The units as docs/guide/engine.md installs them; /opt/scow's Python is this one."""
    python = Path("/opt/scow/.venv/bin/python")
    python.parent.mkdir(parents=True)
    path = os.environ["PYTHONPATH"]
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH={path}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for unit in (PROJECT / "deploy/systemd").iterdir():
        shutil.copy(unit, UNITS)
    systemctl("daemon-reload")
    systemctl("start", "scow.target")
    for service in SERVICES:
        processes.wait_for(partial(systemctl_active, service), f"scow-{service}: {journal()}", 60)
    yield
    systemctl("stop", "scow.target")


def systemctl_active(service: str) -> bool:
    done = subprocess.run(
        ["systemctl", "is-active", f"scow-{service}"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == "active"


def main_pid(service: str) -> int:
    return int(systemctl("show", "-p", "MainPID", "--value", f"scow-{service}"))


def test_a_container_under_systemd() -> None:
    scow("import", "-", "busybox", stdin=rootfs_tar())
    assert scow("run", "--rm", "-m", "64m", "busybox", "echo", "hello") == "hello\n"
    command = "echo page > /var/www/index.html; exec httpd -f -h /var/www"
    scow(
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "18080:80",
        "-v",
        "www:/var/www",
        "busybox",
        "sh",
        "-c",
        command,
    )
    assert http_get("http://127.0.0.1:18080/") == b"page\n"
    pid = int(scow("inspect", "-f", "{{.State.Pid}}", "web"))

    before = {service: main_pid(service) for service in SERVICES}
    for service in SERVICES:  # systemd starts again what is killed
        systemctl("kill", "--signal=KILL", f"scow-{service}")
    systemctl("kill", "--signal=KILL", "--kill-whom=main", "scow-spawner")
    processes.wait_for(
        lambda: all(systemctl_active(s) and main_pid(s) != before[s] for s in SERVICES),
        "the services",
    )
    assert scow("exec", "web", "echo", "in") == "in\n"

    systemctl("stop", "scow.target")
    processes.wait_for(lambda: not any(map(systemctl_active, SERVICES)), "the end of the services")
    assert processes.alive(pid), "the container ended with the engine"
    assert http_get("http://127.0.0.1:18080/") == b"page\n"
    systemctl("start", "scow.target")
    processes.wait_for(lambda: all(map(systemctl_active, SERVICES)), "the services")
    assert scow("inspect", "-f", "{{.State.Pid}}", "web").strip() == str(pid)
    scow("rm", "-f", "web")


@pytest.mark.parametrize("service", SERVICES)
def test_least_privilege(service: str) -> None:
    status = Path(f"/proc/{main_pid(service)}/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    admin = {"CAP_SYS_ADMIN": 21, "CAP_NET_ADMIN": 12, "CAP_SYS_MODULE": 16, "CAP_SYS_RAWIO": 17}
    held = {name for name, bit in admin.items() if effective >> bit & 1}
    allowed = {
        "network": {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_MODULE"},
        "volume": {"CAP_SYS_ADMIN"},  # limits of projects (quotactl(2))
    }
    assert held <= allowed.get(service, set())
