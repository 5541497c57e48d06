"""Mounts of the OCI configuration: options, binds, file systems, masked and read-only paths.

Everything is mounted as a descriptor: open_tree(2) or fsmount(2) makes a detached mount, its flags and
propagation are set while nobody sees it, and move_mount(2) puts it onto the descriptor of its destination.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass, field

from scow.contract.errors import BindSourceNotFound, InvalidMount, MountFailed, ScowError
from scow.kernel import hostpath, rootpath, syscalls
from scow.shim.errors import from_os_error
from scow.shim.init import user_namespace
from scow.shim.oci.config import Mount
from scow.shim.rootfs import foreign

_RDONLY, _NOSUID, _NODEV, _NOEXEC = 0x1, 0x2, 0x4, 0x8
_ATIME_MASK, _NOATIME, _STRICTATIME, _NODIRATIME = 0x70, 0x10, 0x20, 0x80
_NOSYMFOLLOW = 0x200000

# Option: (flags to set, flags to clear), of mount_setattr(2).
ATTRIBUTES = {
    "ro": (_RDONLY, 0),
    "rw": (0, _RDONLY),
    "nosuid": (_NOSUID, 0),
    "suid": (0, _NOSUID),
    "nodev": (_NODEV, 0),
    "dev": (0, _NODEV),
    "noexec": (_NOEXEC, 0),
    "exec": (0, _NOEXEC),
    "noatime": (_NOATIME, _ATIME_MASK),
    "relatime": (0, _ATIME_MASK),
    "atime": (0, _ATIME_MASK),
    "norelatime": (0, _ATIME_MASK),
    "strictatime": (_STRICTATIME, _ATIME_MASK),
    "nostrictatime": (0, _ATIME_MASK),
    "nodiratime": (_NODIRATIME, 0),
    "diratime": (0, _NODIRATIME),
    "nosymfollow": (_NOSYMFOLLOW, 0),
    "symfollow": (0, _NOSYMFOLLOW),
}
_PROPAGATION = {
    "private": syscalls.MS_PRIVATE,
    "shared": syscalls.MS_SHARED,
    "slave": syscalls.MS_SLAVE,
    "unbindable": syscalls.MS_UNBINDABLE,
}
_IGNORED = {"defaults", "async", "nofail", "_netdev", "auto", "noauto", "user", "nouser", "loud"}
# A bind whose source is in another mount namespace, which the option names.
NAMESPACE = "scow.namespace="
# With it: the file systems ("8:1") of which one must be there; then links in that namespace are followed too.
DEVICE = "scow.device="
# A relative path below the source or in the file system, which is mounted instead of all of it.
SUBPATH = "scow.subpath="
# Entries that name the same are one file system, mounted once.
SHARED = "scow.shared="
# The ids of the mount are mapped for the user namespace of this descriptor. Of the shim alone, never of a bundle.
IDMAP = "scow.idmap="
# It may be taken away while the container runs.
DETACHABLE = "scow.detachable"
# Mounts of this process whose file systems map no ids: what they have belongs to nobody in the container.
UNMAPPED: list[str] = []
_PROC = "/proc"
# What may be covered in /proc. runc takes /proc/net/dev too, to no effect: what is covered is one process's alone.
_COVERED = re.compile(
    r"/proc/(cpuinfo|meminfo|stat|uptime|loadavg|diskstats|swaps|slabinfo|sys/kernel/ns_last_pid)"
)


@dataclass(slots=True)
class Options:
    """What the options of one mount ask for."""

    set: int = 0
    clear: int = 0
    recursive_set: int = 0
    recursive_clear: int = 0
    propagation: int = 0
    propagation_recursive: bool = False
    bind: bool = False
    recursive: bool = False
    namespace: str = ""
    devices: list[str] = field(default_factory=list)
    subpath: str = ""
    shared: str = ""
    detachable: bool = False
    # Descriptor of the user namespace that maps the ids; -1: none does.
    idmap: int = -1
    checked: bool = False
    make: bool = False
    links: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)


def parse_options(options: tuple[str, ...]) -> Options:
    """Sort mount options; those of the file system end in `data`."""
    parsed = Options()
    for option in options:
        plain = option[1:] if option.startswith("r") else ""
        if option in ATTRIBUTES:
            set_, clear = ATTRIBUTES[option]
            parsed.set = parsed.set & ~clear | set_
            parsed.clear = parsed.clear & ~set_ | clear
        elif plain in ATTRIBUTES:  # "rro": for the whole tree
            set_, clear = ATTRIBUTES[plain]
            parsed.recursive_set |= set_
            parsed.recursive_clear |= clear
        elif option in _PROPAGATION or plain in _PROPAGATION:
            parsed.propagation = _PROPAGATION.get(option) or _PROPAGATION[plain]
            parsed.propagation_recursive = plain in _PROPAGATION
        elif option in ("bind", "rbind"):
            parsed.bind = True
            parsed.recursive = option == "rbind"
        elif option.startswith(NAMESPACE):
            parsed.namespace = option.removeprefix(NAMESPACE)
        elif option.startswith(DEVICE):
            parsed.devices.append(option.removeprefix(DEVICE))
        elif option.startswith(IDMAP):
            parsed.idmap = int(option.removeprefix(IDMAP))
        elif option.startswith(SHARED):
            parsed.shared = option.removeprefix(SHARED)
        elif option == DETACHABLE:
            parsed.detachable = True
        elif option.startswith(SUBPATH):
            parsed.subpath = option.removeprefix(SUBPATH)
        elif option in (hostpath.CHECKED, hostpath.MAKE):
            parsed.checked = True
            parsed.make = parsed.make or option == hostpath.MAKE
        elif option.startswith(hostpath.LINK):
            parsed.links.append(option.removeprefix(hostpath.LINK))
        elif option not in _IGNORED:
            parsed.data.append(option)
    return parsed


def attach(root: int, mount: Mount, options: Options) -> int:
    """Mount one entry at its destination inside of `root`; return the mount's id.

    Raises:
        BindSourceNotFound, InvalidMount, or
            MountFailed with the kernel's words.
    """
    source = detached(mount, options)
    try:
        return put(root, mount, source)
    finally:
        os.close(source)


def put(root: int, mount: Mount, source: int, own: int = -1) -> int:
    """Put a mount that is attached nowhere at an entry's destination inside of `root`.

    Args:
        root: Descriptor of the container's root.
        mount: The entry.
        source: Descriptor of the mount.
        own: Descriptor of this process's /proc/self/fd, where /proc is the container's.

    Returns:
        The mount's id.

    Raises:
        ScowError: As `attach`.
    """
    if not mount.destination.startswith("/"):
        text = f"the mount destination {mount.destination!r} is not absolute"
        raise _invalid(text, mount.destination)
    try:
        target = _destination(root, mount, source)
    except OSError as error:
        doing = f"make the mount point {mount.destination}"
        raise from_os_error(error, doing, which=mount.destination) from error
    try:
        place = inside(root, target, own)
        _refuse_proc(place, target, source, mount.destination)
        _check_kinds(target, source, mount)
        map_ids(source, mount)
        made = syscalls.mount_id(source)
        syscalls.move_mount(source, target)
        return made
    except OSError as error:
        raise failed(mount, error) from error
    finally:
        os.close(target)


def detached(mount: Mount, options: Options) -> int:
    """Make the mount of an entry, attached nowhere; return its descriptor.

    Raises:
        ScowError: As `attach`.
    """
    if options.bind or mount.type == "bind":
        return bind(mount, options)
    return part_of(filesystem(mount, options), mount)


def part_of(made: int, mount: Mount) -> int:
    """Return the part of a mount that its options ask for, as a mount; the whole one is closed.

    Raises:
        ScowError: As `attach`.
    """
    options = parse_options(mount.options)
    if not options.subpath:
        return made
    try:
        return clone(made, mount, options)
    finally:
        os.close(made)


def _destination(root: int, mount: Mount, source: int) -> int:
    if mount.type in ("proc", "sysfs"):
        return rootpath.make_plain_dir(root, mount.destination)
    make = rootpath.make_dir if rootpath.is_dir(source) else rootpath.make_file
    return make(root, mount.destination)


def _refuse_proc(place: str, target: int, source: int, destination: str) -> None:
    """Refuse a mount at or inside of the container's /proc, wherever links lead to it, as runc does.

    Anything but a procfs there, or a cover of /proc/self/attr or /proc/sys, would defeat what is read-only, masked or
    confined there (CVE-2019-16884). Files that only show numbers may be covered, as lxcfs does. Mounts at /sys are
    the container's own business, as with runc.
    """
    if place == _PROC:
        if syscalls.fs_magic(source) != syscalls.PROC_MAGIC:
            why = "it is the container's /proc, where only a procfs may be mounted"
            raise _refused(destination, why, "choose another target")
        return
    inside = place.startswith(_PROC + "/") or syscalls.fs_magic(target) == syscalls.PROC_MAGIC
    if inside and not _COVERED.fullmatch(place):
        raise _refused(
            destination, "it is inside of the container's /proc", "choose another target"
        )


def inside(root: int, target: int, own: int = -1) -> str:
    """Return the path of a descriptor without links, from the container's root on.

    Args:
        root: Descriptor of the container's root.
        target: The descriptor.
        own: Descriptor of this process's /proc/self/fd, where /proc is the container's.
    """
    if own < 0:
        top, path = (os.readlink(f"/proc/self/fd/{each}") for each in (root, target))
    else:
        top, path = (os.readlink(str(each), dir_fd=own) for each in (root, target))
    return path.removeprefix(top.rstrip("/"))


def map_ids(source: int, mount: Mount) -> None:
    """Map the ids of a mount that is attached nowhere, where its options ask for that."""
    options = parse_options(mount.options)
    if options.idmap < 0:
        return
    recursive = syscalls.AT_RECURSIVE if options.recursive else 0
    try:
        syscalls.mount_setattr(
            source, flags=recursive, set_=syscalls.MOUNT_ATTR_IDMAP, users=options.idmap
        )
    except OSError as error:
        if error.errno == errno.EPERM:  # it is mapped already
            why = "it is mounted in a container with other ids, and mounted once"
            raise failed(mount, error, why) from error
        if error.errno != errno.EINVAL:
            raise
        UNMAPPED.append(mount.destination)


def _check_kinds(target: int, source: int, mount: Mount) -> None:
    """Say what move_mount(2) would only call invalid."""
    kinds = {True: "a directory", False: "a file"}
    ours, theirs = rootpath.is_dir(source), rootpath.is_dir(target)
    if ours != theirs:
        what = mount.source if mount.source.startswith("/") else f"a {mount.type}"
        why = f"{what} is {kinds[ours]}, and what the container has there is {kinds[theirs]}"
        advice = "mount a directory on a directory and a file on a file"
        raise _refused(mount.destination, why, advice)


def bind(mount: Mount, options: Options) -> int:
    """Clone what is at a path of the host, or of another mount namespace. The path is looked up once."""
    source = _foreign(mount, options) if options.namespace else _open_source(mount, options)
    if options.namespace and not options.subpath:
        _attributed(
            source, mount, options
        )  # a clone already, which kernels before 6.15 do not clone again
        return source
    try:
        return clone(source, mount, options)
    finally:
        os.close(source)


def _foreign(mount: Mount, options: Options) -> int:
    try:
        return foreign.clone(options.namespace, mount.source, options.devices)
    except OSError as error:
        raise failed(mount, error) from error


def _open_source(mount: Mount, options: Options) -> int:
    try:
        if not options.checked:
            return os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
        with user_namespace.as_host():  # what is missing is made in the host
            return hostpath.open_path(mount.source, options.links, make=options.make)
    except FileNotFoundError as error:
        text = f"the source {mount.source} of the mount at {mount.destination} does not exist"
        raise BindSourceNotFound(text, what="mount", which=mount.source) from error
    except hostpath.UnexpectedLinkError as error:
        text = f"{error.filename} is a link, and was none when the container was made"
        raise failed(mount, error, text) from error
    except OSError as error:
        raise failed(mount, error, f"cannot use {mount.source}: {error.strerror}") from error


def clone(source: int, mount: Mount, options: Options) -> int:
    """Clone the mount at a descriptor, or at the subpath of it, and give it its flags."""
    part = source
    try:
        if options.subpath:
            part = open_part(source, options.subpath)
        flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH
        flags |= syscalls.AT_RECURSIVE if options.recursive else 0
        fd = syscalls.open_tree(part, "", flags)
    except OSError as error:
        raise failed(mount, error, _part_fault(options.subpath, error)) from error
    finally:
        if part != source:
            os.close(part)
    _attributed(fd, mount, options)
    return fd


def open_part(source: int, subpath: str) -> int:
    """Open a path below a descriptor. Others may write there: what leads outside, at whatever moment, fails."""
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
    return syscalls.openat2(source, subpath, os.O_PATH, resolve=resolve)


def _part_fault(subpath: str, error: OSError) -> str:
    if not subpath:
        return ""
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return f"the path {subpath} leads out of it"
    return f"cannot open {subpath} in it: {error.strerror}"


def _attributed(fd: int, mount: Mount, options: Options) -> None:
    try:
        set_attributes(fd, options)
    except OSError as error:
        os.close(fd)
        raise failed(mount, error) from error


def set_attributes(fd: int, options: Options) -> None:
    """Give a detached mount its flags and its propagation."""
    if options.set or options.clear:
        syscalls.mount_setattr(fd, set_=options.set, clear=options.clear)
    if options.recursive_set or options.recursive_clear:
        syscalls.mount_setattr(
            fd,
            flags=syscalls.AT_RECURSIVE,
            set_=options.recursive_set,
            clear=options.recursive_clear,
        )
    if options.propagation:
        recursive = syscalls.AT_RECURSIVE if options.propagation_recursive else 0
        syscalls.mount_setattr(fd, flags=recursive, propagation=options.propagation)


def filesystem(mount: Mount, options: Options) -> int:
    """Make a detached mount of a new file system: proc, sysfs, tmpfs, devpts, mqueue, cgroup, ext4 ..."""
    attributes = options.set | options.recursive_set
    context = -1
    doing = f"there is no file system {mount.type} in this kernel"
    try:
        context = syscalls.fsopen(mount.type)
        doing = f"the source {mount.source!r} is refused"
        if mount.source:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", mount.source)
        for option in options.data:
            doing = f"the option {option!r} is refused"
            key, equals, value = option.partition("=")
            if equals:
                syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
            else:
                syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, key)
        doing = ""
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        fd = syscalls.fsmount(context, attributes)
    except OSError as error:
        raise failed(mount, error, _refusal(context, doing, error)) from error
    finally:
        if context >= 0:
            os.close(context)
    if options.propagation:
        syscalls.mount_setattr(fd, propagation=options.propagation)
    return fd


def _refusal(context: int, doing: str, error: OSError) -> str:
    """Return what of a file system the kernel refuses, and why."""
    if context < 0:
        return doing if error.errno == errno.ENODEV else ""
    why = kernel_message(context) or error.strerror or ""
    return f"{doing}: {why}" if doing else why


def kernel_message(context: int) -> str:
    """Read why a file system context failed (fsopen(2): "e message")."""
    if context < 0:
        return ""
    try:
        return os.read(context, 1024).decode("utf-8", "replace")[2:].strip()
    except OSError:
        return ""


def mask(root: int, path: str) -> None:
    """Hide a path: a file behind /dev/null, a directory behind an empty read-only tmpfs."""
    try:
        target = rootpath.open_in(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if rootpath.is_dir(target):
            options = parse_options(("ro", "nosuid", "nodev", "noexec", "size=0", "nr_inodes=2"))
            cover = filesystem(Mount(path, "tmpfs", "tmpfs", ()), options)
        else:
            cover = syscalls.open_tree(syscalls.AT_FDCWD, "/dev/null", syscalls.OPEN_TREE_CLONE)
        syscalls.move_mount(cover, target)
        os.close(cover)
    except OSError as error:
        raise from_os_error(error, f"mask {path}", which=path) from error
    finally:
        os.close(target)


def make_readonly(root: int, path: str) -> None:
    """Bind a path onto itself, read-only with all below it."""
    try:
        target = rootpath.open_in(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE | syscalls.AT_EMPTY_PATH
        clone = syscalls.open_tree(target, "", flags)
        syscalls.mount_setattr(clone, flags=syscalls.AT_RECURSIVE, set_=_RDONLY)
        syscalls.move_mount(clone, target)
        os.close(clone)
    except OSError as error:
        raise from_os_error(error, f"make {path} read-only", which=path) from error
    finally:
        os.close(target)


def _refused(destination: str, why: str, advice: str) -> ScowError:
    return InvalidMount(
        f"could not mount at {destination}: {why}",
        what="mount",
        which=destination,
        do=advice,
    )


def _invalid(text: str, which: str) -> ScowError:
    return InvalidMount(text, what="mount", which=which)


def failed(mount: Mount, error: OSError, detail: str = "") -> ScowError:
    """Return the error of a mount, with the kernel's words or better ones."""
    text = (
        f"could not mount {mount.type or 'bind'} at {mount.destination}: {detail or error.strerror}"
    )
    return MountFailed(
        text,
        what="mount",
        which=mount.destination,
        source=mount.source,
        options=",".join(mount.options),
    )
