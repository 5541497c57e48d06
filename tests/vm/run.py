"""Runs tests on pure cgroup v2 with AppArmor: Debian's cloud kernel and systemd, in QEMU.

    python -m tests.vm.run [PYTEST ARGUMENTS]

Without arguments it runs the integration tests of the shim, of the container service and of networks, and those of the
systemd units. The machine has the project and the Python packages in `/srv`, wherever they are here: what is below
`/tmp` or `/run` would be gone once it has booted. It runs the tests as a systemd service, writes what they printed to
its second disk, and powers off. There is no network in it. Where KVM works, it runs on real processors; elsewhere on
emulated ones, which takes several times as long.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = Path(sysconfig.get_path("purelib"))
ROOTS = ("protos", "services", "shim", "client")
CACHE = Path(os.environ.get("SCOW_TEST_CACHE", "/var/cache/scow-tests"))
DEFAULT_TESTS = (
    "tests/integration/shim",
    "tests/integration/container",
    # Of the network service what the kernel has the greatest part in.
    *(
        f"tests/integration/network/{name}"
        for name in (
            "drivers",
            "test_attach.py",
            "test_cni.py",
            "test_publish.py",
            "test_ipv6.py",
            "test_gateway_modes.py",
            "test_spoofing.py",
            "test_attacks.py",
            "test_dns.py",
            "test_policy.py",
            "test_limits.py",
        )
    ),
    "tests/vm/test_units.py",
    "tests/vm/test_volume_disks.py",
    "tests/vm/test_storage_limit.py",
    "tests/vm/test_volume_servers.py",
)
# Where the machine has them, whatever their path here.
PROJECT_INSIDE = Path("/srv/scow")
PACKAGES_INSIDE = Path("/srv/packages")
_SUMMARY = "= short test summary info ="
_TIMEOUT_SECONDS = 75 * 60
_DISK = "6G"
# For the kernel to boot and find no root file system: 2 s where it works.
_KVM_SECONDS = 15
_REPORT_BYTES = 64 << 20
# Mitigations protect no one here, and make each indirect jump several instructions.
_KERNEL_OPTIONS = (
    "console=ttyS0 root=/dev/vda rw quiet apparmor=1 security=apparmor mitigations=off"
)
_NOT_PROJECT = (".git", ".venv", ".mypy_cache", ".ruff_cache", "__pycache__")
# Tools for developers, which no test needs. The packages' byte code is kept, as pip made it.
_NOT_PACKAGES = ("mypy", "mypyc", "grpc_tools", "pip")
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
python3 -m pytest -n 2 --dist loadfile -p no:cacheprovider -o timeout={timeout} -rfEs --durations=10 \\
    {arguments} </dev/null >/tmp/output 2>&1 &
# Not through a pipe: what a test left running would hold it open.
tail --pid=$! -n +1 -f /tmp/output
wait $!
echo $? >/tmp/code
tar -C /tmp -cf /dev/vdb output code
sync
"""


@dataclass(frozen=True)
class Processors:
    """What the machine's processors are.

    Attributes:
        accelerator: QEMU's option.
        patience: How many times longer things take than on a real machine, at most.
    """

    accelerator: str
    patience: int


KVM = Processors("kvm", 4)
EMULATED = Processors("tcg,thread=multi", 15)


def processors(kernel: Path) -> Processors:
    """Return real processors where the kernel boots on them, or emulated ones.

    A `/dev/kvm` says little: in a virtual machine it may be there and start no Linux. So the kernel is started, without
    a root file system: then it panics, which ends QEMU.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return EMULATED
    command = [*_qemu(KVM), "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_KVM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return EMULATED
    return KVM if done.returncode == 0 and b"Kernel panic" in done.stdout else EMULATED


def _qemu(chosen: Processors) -> list[str]:
    return [
        # Not every hypervisor below ours takes the register of arch-capabilities.
        *("qemu-system-x86_64", "-accel", chosen.accelerator, "-cpu", "max,arch-capabilities=off"),
        *("-smp", "2", "-m", "3072", "-nographic", "-no-reboot", "-nic", "none"),
    ]


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


def unpack(folder: Path) -> Path:
    """Return a folder with the base system."""
    system = folder / "system"
    system.mkdir()
    subprocess.run(["tar", "-C", system, "--numeric-owner", "-xf", base_system()], check=True)
    return system


def make_disk(folder: Path, system: Path, patience: int, arguments: list[str]) -> Path:
    """Return a disk with the base system, the project and what runs the tests."""
    copy_python(system, PROJECT, PACKAGES)
    # There is no compiler in the machine.
    source, probe = PROJECT / "tests/support/seccomp_probe.c", system / "opt/seccomp-probe"
    subprocess.run(["gcc", "-static", "-O1", source, "-o", probe], check=True)
    script = system / "opt/run-tests"
    script.write_text(
        _SCRIPT.format(
            project=PROJECT_INSIDE,
            path=":".join(map(str, [PACKAGES_INSIDE, *(PROJECT_INSIDE / root for root in ROOTS)])),
            patience=patience,
            timeout=180 * patience,
            arguments=shlex.join(arguments),
        )
    )
    script.chmod(0o755)
    _write_units(system)
    disk = folder / "disk.ext4"
    subprocess.run(["mkfs.ext4", "-q", "-d", system, disk, _DISK], check=True)
    return disk


def _write_units(system: Path) -> None:
    """Have the tests start at boot, and nothing beside them."""
    units = system / "etc/systemd/system"
    (units / "scow-tests.service").write_text(_UNIT)
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "scow-tests.service").symlink_to("../scow-tests.service")
    # The console is the tests': a login prompt would hang it up.
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    (system / "etc/fstab").write_text("/dev/vda / ext4 rw 0 1\n")
    (system / "etc/hostname").write_text("scow-vm\n")


def copy_python(system: Path, project: Path, packages: Path) -> None:
    """Copy the project and the packages to their places in the system, and compile them.

    Byte code counts: emulated, making it takes longer than all that the modules do.
    """
    places = []
    for source, place, left_out in (
        (project, PROJECT_INSIDE, _NOT_PROJECT),
        (packages, PACKAGES_INSIDE, _NOT_PACKAGES),
    ):
        places.append(system / place.relative_to("/"))
        ignored = shutil.ignore_patterns(*left_out)
        shutil.copytree(source, places[-1], symlinks=True, ignore=ignored)
        # A temporary folder may be closed to everyone else.
        places[-1].chmod(0o755)
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "-s", str(system), "-p", "/"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", *places], check=True)


def boot(folder: Path, system: Path, chosen: Processors, disk: Path) -> Path:
    """Run the machine until it powers off; return its second disk."""
    report = folder / "report.disk"
    with report.open("wb") as file:
        file.truncate(_REPORT_BYTES)
    subprocess.run(
        [
            *_qemu(chosen),
            *("-kernel", _boot_file(system, "vmlinuz")),
            *("-initrd", _boot_file(system, "initrd.img")),
            *("-append", _KERNEL_OPTIONS),
            *("-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"),
            *("-drive", f"file={report},if=virtio,format=raw,cache=unsafe"),
        ],
        check=True,
        timeout=_TIMEOUT_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    return report


def _boot_file(system: Path, name: str) -> Path:
    return next((system / "boot").glob(f"{name}-*"))


def read_report(report: Path) -> int:
    """Print what the tests came to, in pytest's words; return its exit code."""
    try:
        with tarfile.open(report, ignore_zeros=False) as archive:
            code = archive.extractfile("code")
            output = archive.extractfile("output")
            assert code is not None
            assert output is not None
            result = int(code.read())
            lines = output.read().decode(errors="replace").splitlines()
    except (tarfile.TarError, KeyError):
        print("the machine ended without a report: see its console above")
        return 1
    print("in the machine:", *summary(lines), sep="\n", flush=True)
    return result


def summary(lines: list[str]) -> list[str]:
    """Return the end of pytest's output: what failed, was skipped, and how many of each."""
    starts = [number for number, line in enumerate(lines) if _SUMMARY in line]
    return lines[starts[-1] :] if starts else lines[-1:]


def main() -> int:
    """Run the tests that the arguments name."""
    if sys.version_info[:2] != _PYTHON:
        print("the machine has Python 3.11: run this with a virtual environment of 3.11")
        return 1
    arguments = sys.argv[1:] or [*DEFAULT_TESTS]
    with tempfile.TemporaryDirectory(prefix="scow-vm-", dir="/var/tmp") as name:
        folder = Path(name)
        system = unpack(folder)
        chosen = processors(_boot_file(system, "vmlinuz"))
        print(f"processors: {chosen.accelerator}", flush=True)
        disk = make_disk(folder, system, chosen.patience, arguments)
        return read_report(boot(folder, system, chosen, disk))


if __name__ == "__main__":
    sys.exit(main())
