"""Capabilities: the default set of Docker, and what `cap_add` and `cap_drop` make of it (capabilities(7))."""

from __future__ import annotations

from collections.abc import Sequence

from scow.container.model.invalid import invalid

_KNOWN = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
    "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
    "CHECKPOINT_RESTORE "
)
_DEFAULT = (
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
    "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP "
)
# In the kernel's order, linux/capability.h.
KNOWN = tuple(f"CAP_{name}" for name in _KNOWN.split())
DEFAULT = tuple(f"CAP_{name}" for name in _DEFAULT.split())


def choose(add: Sequence[str], drop: Sequence[str], privileged: bool) -> tuple[str, ...]:
    """Return the capabilities of a container, in the kernel's order.

    Args:
        add: Names with or without "CAP_", in any case, or "ALL".
        drop: The same; what is in both lists is added.
        privileged: All of them.

    Raises:
        InvalidConfig: An unknown name.
    """
    added, dropped = _names("cap_add", add), _names("cap_drop", drop)
    if privileged:
        return KNOWN
    base = set(KNOWN if "ALL" in added else DEFAULT)
    if "ALL" in dropped:
        # ALL in both lists: the adding wins, less what is dropped by its own name.
        base = set(KNOWN) if "ALL" in added else set()
    chosen = (base - dropped) | added
    return tuple(name for name in KNOWN if name in chosen)


def _names(field: str, values: Sequence[str]) -> set[str]:
    names = set()
    for value in values:
        name = value.upper()
        if name != "ALL" and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        if name != "ALL" and name not in KNOWN:
            raise invalid(field, f"has the unknown capability {value!r}", "see capabilities(7)")
        names.add(name)
    return names
