"""AppArmor: the default profile of containers, loaded when the first one needs it (apparmor.d(5), apparmor_parser(8)).

The profile denies what a container's own mounts and capabilities should deny already, a second time: mounting, and
writing to what is the host's in /proc and /sys. Processes of containers may trace and signal each other, and be
signalled by those that no profile confines.
"""

from __future__ import annotations

import os

from scow.contract.errors import KernelUnsupported
from scow.contract.shim_files import APPARMOR_DEFAULT, apparmor_parser

_LOADED = "/sys/kernel/security/apparmor/profiles"
_SECONDS = 30
# What belongs to the container's own namespaces in /proc/sys is left out: net, kernel.{shm,msg,sem}*, fs.mqueue, names.
_PROFILE = f"""
profile {APPARMOR_DEFAULT} flags=(attach_disconnected,mediate_deleted) {{
  network,
  capability,
  file,
  umount,

  signal (receive) peer=unconfined,
  signal (send,receive) peer={APPARMOR_DEFAULT},
  ptrace (trace,read,tracedby,readby) peer={APPARMOR_DEFAULT},

  deny mount,

  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /proc/mem rwklx,
  deny /proc/kmem rwklx,
  deny /proc/{{acpi,asound,bus,fs,irq,scsi,tty}}/** wklx,
  deny /proc/sys/{{abi,crypto,debug,dev,sunrpc,user,vm}}/** wklx,
  deny /proc/sys/fs/[^m]** wklx,
  deny /proc/sys/fs/m[^q]** wklx,
  deny /proc/sys/kernel/[^dhms]** wklx,
  deny /proc/sys/kernel/d[^o]** wklx,
  deny /proc/sys/kernel/h[^o]** wklx,
  deny /proc/sys/kernel/ho[^s]** wklx,
  deny /proc/sys/kernel/m[^s]** wklx,
  deny /proc/sys/kernel/s[^eh]** wklx,
  deny /proc/sys/kernel/se[^m]** wklx,
  deny /proc/sys/kernel/sh[^m]** wklx,

  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
}}
"""


def ensure(profile: str) -> None:
    """Load the default profile, if it is meant and not there; others are their administrator's to load.

    Raises:
        KernelUnsupported: It cannot be loaded. As with Docker, the container does not start without it.
    """
    if profile != APPARMOR_DEFAULT or _is_loaded():
        return
    parser = apparmor_parser()
    if not parser:
        raise _failed("the program apparmor_parser is not installed")
    import subprocess

    try:
        # No cache: the file of one engine's version would be another's.
        done = subprocess.run(
            [parser, "--skip-cache", "--replace"],
            input=_PROFILE.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _failed(str(error)) from error
    if done.returncode:
        raise _failed(done.stderr.decode("utf-8", "replace").strip()[-500:])


def _failed(why: str) -> KernelUnsupported:
    return KernelUnsupported(
        f"the AppArmor profile {APPARMOR_DEFAULT} cannot be loaded: {why}",
        what="apparmor",
        which=APPARMOR_DEFAULT,
        do="see to apparmor_parser, or use --security-opt apparmor=unconfined",
    )


def _is_loaded() -> bool:
    try:
        with open(_LOADED, encoding="ascii", errors="replace") as file:
            return any(line.startswith(f"{APPARMOR_DEFAULT} (") for line in file)
    except OSError:
        return not os.path.exists("/sys/module/apparmor")
