"""Runs tests on pure cgroup v2 with AppArmor: Debian's cloud kernel and systemd, in QEMU.

    python -m tests.vm.run [PYTEST ARGUMENTS]

Without arguments it runs the integration tests of the shim and of the container service, and those of the systemd
units. The machine has the project and the Python packages at the same paths as here, so nothing is installed in it; it
runs the tests as a systemd service, writes their report to its second disk, and powers off. There is no network in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = Path(sysconfig.get_path("purelib"))
ROOTS = ("protos", "services", "shim", "client")
CACHE = Path(os.environ.get("SCOW_TEST_CACHE", "/var/cache/scow-tests"))
DEFAULT_TESTS = ("tests/integration/shim", "tests/integration/container", "tests/vm/test_units.py")
# Emulated processors are some 15 times slower than real ones.
PATIENCE = 15
_TIMEOUT_SECONDS = 75 * 60
_DISK = "6G"
_REPORT_BYTES = 64 << 20
# Tools for developers, which no test needs.
_SKIPPED = ("mypy", "mypyc", "grpc_tools", "pip", "__pycache__")
# Of Debian 12: compiled packages must be made for it.
_PYTHON = (3, 11)

_UNIT = """[Unit]
Description=Tests of scow
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/opt/run-tests
ExecStopPost=/bin/systemctl poweroff --force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
"""

_SCRIPT = """#!/bin/bash
cd {project}
export SCOW_TEST_PATIENCE={patience} PYTHONDONTWRITEBYTECODE=1 HOME=/root PYTHONPATH={path}
export SCOW_TEST_SECCOMP_PROBE=/opt/seccomp-probe
echo "kernel $(uname -r), cgroup $(stat -fc %T /sys/fs/cgroup), apparmor $(cat /sys/module/apparmor/parameters/enabled)"
python3 -m pytest -n 2 --dist loadfile -p no:cacheprovider -o timeout={timeout} \\
    --junitxml=/tmp/report.xml {arguments} </dev/null
echo $? >/tmp/code
tar -C /tmp -cf /dev/vdb report.xml code
sync
"""


def base_system() -> Path:
    """Return the tar of a Debian system with the packages; made once for each list of them."""
    packages = [
        name
        for line in (Path(__file__).parent / "packages.txt").read_text().splitlines()
        if (name := line.split("#")[0].strip())
    ]
    key = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    path = CACHE / f"vm-{key}.tar"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    print(f"making {path} with mmdebstrap", flush=True)
    subprocess.run(
        [
            "mmdebstrap",
            "--variant=apt",
            "--quiet",
            f"--include={','.join(packages)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--format=tar",
            "bookworm",
            str(partial),
        ],
        check=True,
    )
    partial.rename(path)
    return path


def make_disk(folder: Path, arguments: list[str]) -> Path:
    """Return a disk with the base system, the project and what runs the tests."""
    system = folder / "system"
    system.mkdir()
    subprocess.run(["tar", "-C", system, "--numeric-owner", "-xf", base_system()], check=True)
    _copy(PROJECT, system, (".git", ".venv", ".mypy_cache", ".ruff_cache", "__pycache__"))
    _copy(PACKAGES, system, _SKIPPED)
    _compile(system, PROJECT, PACKAGES)
    # There is no compiler in the machine.
    source, probe = PROJECT / "tests/support/seccomp_probe.c", system / "opt/seccomp-probe"
    subprocess.run(["gcc", "-static", "-O1", source, "-o", probe], check=True)
    script = system / "opt/run-tests"
    script.write_text(
        _SCRIPT.format(
            project=PROJECT,
            path=":".join(map(str, [PACKAGES, *(PROJECT / root for root in ROOTS)])),
            patience=PATIENCE,
            timeout=180 * PATIENCE,
            arguments=" ".join(arguments),
        )
    )
    script.chmod(0o755)
    units = system / "etc/systemd/system"
    (units / "scow-tests.service").write_text(_UNIT)
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "scow-tests.service").symlink_to("../scow-tests.service")
    # The console is the tests': a login prompt would hang it up.
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    (system / "etc/fstab").write_text("/dev/vda / ext4 rw 0 1\n")
    (system / "etc/hostname").write_text("scow-vm\n")
    disk = folder / "disk.ext4"
    subprocess.run(["mkfs.ext4", "-q", "-d", system, disk, _DISK], check=True)
    return disk


def _copy(source: Path, system: Path, skipped: tuple[str, ...]) -> None:
    """Copy a folder to the same path in the system."""
    shutil.copytree(
        source,
        system / source.relative_to("/"),
        symlinks=True,
        ignore=shutil.ignore_patterns(*skipped),
        dirs_exist_ok=True,
    )


def _compile(system: Path, *folders: Path) -> None:
    """Compile the Python modules of the system's folders: emulated, that takes longer than all they do."""
    inside = [system / folder.relative_to("/") for folder in folders]
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "-s", str(system), "-p", "/"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", *inside], check=True)


def boot(folder: Path, disk: Path) -> Path:
    """Run the machine until it powers off; return its second disk."""
    system = folder / "system"
    kernel = next((system / "boot").glob("vmlinuz-*"))
    initrd = next((system / "boot").glob("initrd.img-*"))
    report = folder / "report.disk"
    with report.open("wb") as file:
        file.truncate(_REPORT_BYTES)
    subprocess.run(
        [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-smp", "2", "-m", "3072", "-nographic", "-no-reboot", "-nic", "none"),
            *("-kernel", kernel, "-initrd", initrd),
            *("-append", "console=ttyS0 root=/dev/vda rw quiet apparmor=1 security=apparmor"),
            *("-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"),
            *("-drive", f"file={report},if=virtio,format=raw,cache=unsafe"),
        ],
        check=True,
        timeout=_TIMEOUT_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    return report


def read_report(report: Path) -> int:
    """Print what the tests came to; return their exit code."""
    try:
        with tarfile.open(report, ignore_zeros=False) as archive:
            code = archive.extractfile("code")
            xml = archive.extractfile("report.xml")
            assert code is not None
            assert xml is not None
            suite = ET.parse(xml).getroot().find("testsuite")
            result = int(code.read())
    except (tarfile.TarError, KeyError):
        print("the machine ended without a report: see its console above")
        return 1
    assert suite is not None
    counts = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    print("in the machine: " + ", ".join(f"{value} {key}" for key, value in counts.items()))
    return result


def main() -> int:
    """Run the tests that the arguments name."""
    if sys.version_info[:2] != _PYTHON:
        print("the machine has Python 3.11: run this with a virtual environment of 3.11")
        return 1
    arguments = sys.argv[1:] or [*DEFAULT_TESTS]
    with tempfile.TemporaryDirectory(prefix="scow-vm-", dir="/var/tmp") as name:
        folder = Path(name)
        return read_report(boot(folder, make_disk(folder, arguments)))


if __name__ == "__main__":
    sys.exit(main())
