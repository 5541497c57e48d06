"""The overlay of a root file system: by mount(2), or, where layers are mounts themselves, by descriptors.

mount(2) is what every kernel has, but takes one page of options. Mounts that are attached nowhere have no path; these
are given as descriptors, which overlayfs takes since Linux 6.15.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from scow.contract.errors import MountFailed, ScowError
from scow.kernel import syscalls
from scow.shim.errors import from_os_error
from scow.shim.oci.config import Mount
from scow.shim.rootfs import mounts

_PAGE = 4096
_DIRECTORIES = ("upperdir", "workdir")


def mount_at(path: str, entry: Mount) -> None:
    """Mount an overlay, or any file system, by mount(2).

    Raises:
        MountFailed.
    """
    options = mounts.parse_options(entry.options)
    data = ",".join(options.data)
    base = None
    if len(data) >= _PAGE:
        base, data = shorten(options.data)
    flags = options.set & (syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV)
    flags |= options.set & syscalls.MS_NOEXEC
    cwd = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        if base is not None:
            os.chdir(base)
        syscalls.mount(entry.source or entry.type, path, entry.type, flags, data)
    except OSError as error:
        raise failed(entry, path, data, error.strerror) from error
    finally:
        os.fchdir(cwd)
        os.close(cwd)


def shorten(options: list[str]) -> tuple[str, str]:
    """Return (directory, options) with overlay's lower directories relative to their common parent.

    The result is FailedPrecondition when it is still too long for mount(2).
    """
    lower = next((o.removeprefix("lowerdir=") for o in options if o.startswith("lowerdir=")), "")
    directories = split_lower(lower)
    base = os.path.commonpath(directories) if directories else "/"
    if base in directories:
        base = os.path.dirname(base)
    relative = ":".join(directory[len(base.rstrip("/")) + 1 :] for directory in directories)
    data = ",".join(
        f"lowerdir={relative}" if option.startswith("lowerdir=") else option for option in options
    )
    if len(data) >= _PAGE:
        text = f"{len(directories)} layers do not fit into the {_PAGE} bytes of mount options"
        raise MountFailed(
            text,
            what="rootfs",
            do="squash the image or use shorter layer directories",
        )
    return base, data


def split_lower(value: str) -> list[str]:
    """Split overlay's lowerdir at the colons that no backslash escapes."""
    parts, current, escaped = [], "", False
    for char in value:
        if char == ":" and not escaped:
            parts.append(current)
            current = ""
        else:
            current += char
        escaped = char == "\\" and not escaped
    return [*parts, current] if current else parts


def unescaped(directory: str) -> str:
    """Return the path of a directory as overlay's options have it."""
    return re.sub(r"\\(.)", r"\1", directory)


def by_descriptors(entry: Mount, layers: Mapping[str, int]) -> int:
    """Make an overlay, attached nowhere, some of whose lower directories are the mounts in `layers`.

    Args:
        entry: A lower directory that is a key of `layers` stands for that mount.
        layers: Descriptors of mounts by the path that they have in options.

    Raises:
        MountFailed.
    """
    options = mounts.parse_options(entry.options)
    context = -1
    try:
        context = syscalls.fsopen(entry.type)
        for option in options.data:
            _configure(context, option, layers)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, options.set)
    except OSError as error:
        message = mounts.kernel_message(context) or error.strerror
        raise failed(entry, "", ",".join(options.data), message) from error
    finally:
        if context >= 0:
            os.close(context)


def _configure(context: int, option: str, layers: Mapping[str, int]) -> None:
    key, equals, value = option.partition("=")
    if key == "lowerdir":
        for directory in split_lower(value):
            _add_directory(context, "lowerdir+", directory, layers)
    elif key in _DIRECTORIES:
        _add_directory(context, key, value, {})
    elif equals:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
    else:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, key)


def _add_directory(context: int, key: str, escaped: str, layers: Mapping[str, int]) -> None:
    path = unescaped(escaped)
    descriptor = layers.get(path)
    if descriptor is not None:
        syscalls.fsconfig_fd(context, key, descriptor)
        return
    try:
        opened = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, "open a directory of the root file system") from error
    try:
        syscalls.fsconfig_fd(context, key, opened)
    finally:
        os.close(opened)


def failed(entry: Mount, path: str, data: str, why: str | None) -> ScowError:
    """Return the error of a root file system that cannot be mounted."""
    text = f"could not mount the root file system ({entry.type}): {why}"
    return MountFailed(text, what="rootfs", which=path, options=data)
