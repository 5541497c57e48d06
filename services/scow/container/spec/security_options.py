"""`security_opts`: what they say about seccomp, AppArmor, privileges and hidden paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from scow.container.model.invalid import invalid
from scow.contract.errors import KernelUnsupported
from scow.contract.shim_files import APPARMOR_DEFAULT, apparmor_parser

_FIELD = "security_opts"
# Where profiles are loaded (securityfs).
_POLICY = "/sys/kernel/security/apparmor"


@dataclass(frozen=True, slots=True)
class Options:
    """What the options of one container come to.

    Attributes:
        seccomp: A profile as JSON, "unconfined", or "" for the default one.
        apparmor: Name of a profile, "unconfined", or "".
        no_new_privileges: execve(2) gives no privileges.
        show_system_paths: Neither mask paths nor make them read-only.
    """

    seccomp: str = ""
    apparmor: str = ""
    no_new_privileges: bool = False
    show_system_paths: bool = False


def parse(options: Sequence[str]) -> Options:
    """Read the options.

    Raises:
        InvalidConfig: An unknown option.
        KernelUnsupported: SELinux labels, which this engine does not set.
    """
    seccomp, apparmor, no_new_privileges, show = "", "", False, False
    for option in options:
        key, value = _split(option)
        if key == "no-new-privileges":
            no_new_privileges = _boolean(option, value)
        elif key == "seccomp" and value:
            seccomp = "" if value == "builtin" else value
        elif key == "apparmor" and value:
            apparmor = value
        elif key == "systempaths" and value == "unconfined":
            show = True
        elif key == "label":
            _check_label(value)
        else:
            raise invalid(
                _FIELD,
                f"has the unknown option {option!r}",
                "use no-new-privileges, seccomp=..., apparmor=... or systempaths=unconfined",
            )
    return Options(seccomp, apparmor, no_new_privileges, show)


def _split(option: str) -> tuple[str, str]:
    """Split at "=", or at ":" as old clients do."""
    key, separator, value = option.partition("=")
    if not separator:
        key, _, value = option.partition(":")
    return key, value


def _boolean(option: str, value: str) -> bool:
    if value.lower() in ("", "true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise invalid(_FIELD, f"has {option!r}", "use no-new-privileges=true or =false")


def _check_label(value: str) -> None:
    if value != "disable":
        raise KernelUnsupported(
            "SELinux labels are not supported",
            what="security option",
            which=f"label={value}",
            do="leave the option out, or use label=disable",
        )


def apparmor_enabled(path: str = "/sys/module/apparmor/parameters/enabled") -> bool:
    """Tell whether the kernel enforces AppArmor profiles."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def apparmor_loads() -> bool:
    """Tell whether containers get the default profile, by Docker's rule.

    There are a parser and the kernel's interface, and the engine is not in a container itself, whose variable
    `container` says so (systemd.exec(5), "Container Interface").
    """
    nested = os.environ.get("container")  # noqa: SIM112 - that is its name
    return bool(apparmor_parser()) and os.path.exists(_POLICY) and not nested


def apparmor_profile(
    options: Options,
    privileged: bool,
    enabled: bool | None = None,
    parser: bool | None = None,
) -> str:
    """Return the AppArmor profile to enter, or an empty string.

    Args:
        options: Of the container.
        privileged: A privileged container is unconfined unless it names a profile.
        enabled: Whether the kernel has AppArmor; None asks it.
        parser: Whether containers get the default profile (`apparmor_loads`); None looks.

    Raises:
        KernelUnsupported: A profile is named, and the kernel has no AppArmor.
    """
    if enabled is None:
        enabled = apparmor_enabled()
    if parser is None:
        parser = apparmor_loads()
    if not options.apparmor:
        return APPARMOR_DEFAULT if enabled and parser and not privileged else ""
    if options.apparmor == "unconfined":
        return "unconfined" if enabled and not privileged else ""
    if not enabled:
        raise KernelUnsupported(
            f"the kernel has no AppArmor to enforce the profile {options.apparmor}",
            what="security option",
            which=f"apparmor={options.apparmor}",
            do="boot a kernel with AppArmor, or use apparmor=unconfined",
        )
    return options.apparmor
