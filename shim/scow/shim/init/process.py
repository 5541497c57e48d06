"""A container's init from its fork to execve(2).

It starts in the new pid namespace and in the cgroup, makes the other namespaces, says that it is ready,
and mounts what it can while the network is being attached. Then it waits for Start, which brings the last mounts.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from scow.contract.errors import KernelUnsupported
from scow.kernel import syscalls
from scow.shim import cgroup
from scow.shim.confine import capabilities as caps
from scow.shim.confine import seccomp, sysctls
from scow.shim.init import control, hooks, launch, namespaces, user_namespace
from scow.shim.oci import config
from scow.shim.rootfs import devices, idmap, mounts, secret_files
from scow.shim.rootfs import root as rootfs

_INIT_BINARY = "/usr/bin/tini-static"
_UNMAPPED = "its file system maps no ids for user namespaces"
_INIT_PLACE = "/sbin/docker-init"


@dataclass(slots=True)
class Plan:
    """All that an init needs to know; made by the shim before the fork."""

    spec: config.Spec
    namespaces: namespaces.Plan
    cgroup: cgroup.Cgroup
    filter: seccomp.Filter | None
    stdio: tuple[int, int, int]
    control: int
    # Layers that the spawner has mounted (`layers`): descriptors by the path of the index.
    layers: Mapping[str, int] = field(default_factory=dict)
    # File systems that are made already (`rootfs.open_filesystems`): descriptors by their places.
    filesystems: Mapping[str, int] = field(default_factory=dict)


class _Progress:
    """What is being done, for the message of an error that nobody foresaw."""

    doing = "set the container up"


def main(plan: Plan) -> NoReturn:
    """Run in the forked child; never returns."""
    progress = _Progress()
    try:
        joined = [fd for fd, _ in plan.namespaces.join]
        if plan.namespaces.user_fd >= 0:
            joined.append(plan.namespaces.user_fd)
        launch.detach(
            plan.stdio, plan.control, (*joined, *plan.layers.values(), *plan.filesystems.values())
        )
        _run(plan, progress)
    except BaseException as error:  # noqa: BLE001 - whatever it is travels to the shim
        control.fail(error, progress.doing)


def _run(plan: Plan, progress: _Progress) -> NoReturn:
    spec = plan.spec
    progress.doing = "enter the cgroup and the namespaces"
    plan.cgroup.enter()
    warnings = launch.set_oom_score(spec.process.oom_score_adj)
    apparmor = launch.open_apparmor(spec.process.apparmor_profile)
    for fd, flag in plan.namespaces.join:
        syscalls.setns(fd, flag)
    syscalls.unshare(plan.namespaces.unshare)
    syscalls.join_session_keyring()
    control.send(control.CHILD_FD, {"ready": True})

    root, early, slave = -1, None, -1
    try:
        progress.doing = "mount the root file system"
        root, slave = _prepare(plan)
    except Exception as error:  # noqa: BLE001 - kept for Start, which reports it
        early = error
    start, secrets = _await_start()
    if early is not None:
        raise early

    progress.doing = "mount what the network and volumes brought"
    _complete(plan, root, start, secrets)
    progress.doing = "start the process"
    if slave >= 0:
        devices.take_terminal(slave)
    warnings += [f"{place} belongs to nobody: {_UNMAPPED}" for place in mounts.UNMAPPED]
    available = user_namespace.enter(plan.namespaces.user_fd, spec, fresh=True)
    sets = caps.Sets(spec.process.capabilities, available)
    warnings += [f"the engine itself lacks {name}" for name in sets.missing]
    launch.run(
        spec.process,
        launch.Confinement(sets, available, plan.filter, apparmor),
        warnings,
        make_cwd=True,
    )


def own_namespace(spec: config.Spec) -> bool:
    """Tell whether the container has a cgroup namespace of its own."""
    return "cgroup" in spec.namespaces


def _prepare(plan: Plan) -> tuple[int, int]:
    """Do all that needs no network: names, parameters, mounts, the terminal; return root and slave."""
    spec = plan.spec
    if spec.hostname:
        syscalls.sethostname(spec.hostname)
    if spec.domainname:
        syscalls.setdomainname(spec.domainname)
    own = {kind for kind, entry in spec.namespaces.items() if not entry.path}
    sysctls.apply(spec.sysctl, own)
    rootfs.isolate(spec)
    namespace = plan.namespaces.user_fd
    root = rootfs.mount_root(spec, plan.layers, namespace)
    visible = plan.cgroup.visible(own_namespace(spec))
    for entry in rootfs.fill(root, spec, visible, plan.layers, plan.filesystems, namespace).items():
        control.send(control.CHILD_FD, {"mounted": entry})
    for descriptor in plan.layers.values():
        os.close(descriptor)
    slave = -1
    if spec.process.terminal:
        master = devices.open_master(root, "/dev/pts/ptmx")
        slave = devices.open_slave(master)
        devices.set_size(slave, *spec.process.console_size)
        devices.bind_console(root, slave)
        control.send_with_fd(control.CHILD_FD, {"pty": True}, master)
        os.close(master)
    return root, slave


def _complete(plan: Plan, root: int, start: dict[str, Any], secrets: int) -> None:
    """Mount what came with Start, and close the root file system."""
    visible = plan.cgroup.visible(own_namespace(plan.spec))
    told = len(mounts.UNMAPPED)
    for entry in start["mounts"]:
        mount = idmap.mapped(config.Mount(**entry), plan.spec, plan.namespaces.user_fd)
        rootfs.mount_entry(root, mount, visible)
    # Everybody may read these, whoever they belong to.
    del mounts.UNMAPPED[told:]
    if secrets >= 0:
        secret_files.place(root, plan.spec, secrets, shifted=plan.namespaces.user_fd >= 0)
        os.close(secrets)
    if plan.spec.init:
        _add_init(root, plan)
    hooks.run(plan.spec.hooks.get("createContainer", ()), start.get("state", {}))
    rootfs.finish(root, plan.spec)


def _await_start() -> tuple[dict[str, Any], int]:
    """Wait for Start, and the descriptor of what is in secrets, -1 without any; end with the shim."""
    select.select([control.CHILD_FD], [], [])
    with socket.socket(fileno=os.dup(control.CHILD_FD)) as connection:
        message, secrets = control.receive_with_fd(connection)
    if message is None:
        os._exit(137)
    return dict(message["start"]), secrets


def _add_init(root: int, plan: Plan) -> None:
    """Put a small init in front of the command: it reaps and forwards signals as process 1."""
    entry = config.Mount(_INIT_PLACE, "bind", _INIT_BINARY, ("bind", "ro"))
    if not os.path.exists(_INIT_BINARY):
        text = f"{_INIT_BINARY} is missing on the host"
        raise KernelUnsupported(
            text,
            what="init",
            which=_INIT_BINARY,
            do="install the package tini",
        )
    rootfs.mount_entry(root, entry, plan.cgroup.visible(own_namespace(plan.spec)))
    plan.spec.process.args = (_INIT_PLACE, "--", *plan.spec.process.args)
