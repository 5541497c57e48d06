"""What a process that works for a service does first: it goes when the service goes, and keeps few capabilities."""

from __future__ import annotations

import os

from scow.kernel import syscalls


def die_with_parent(parent: int) -> None:
    """Be killed when the parent process ends; end now if it has ended already (prctl(2))."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def keep_capabilities(wanted: int) -> None:
    """Give up for good all capabilities but the wanted ones, a set of bits, as far as they are held."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    kept = syscalls.capget()[1] & wanted
    syscalls.capset(kept, kept, 0)


def become(number: int) -> None:
    """Be another user and group, with the capabilities that this process has (capabilities(7))."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
