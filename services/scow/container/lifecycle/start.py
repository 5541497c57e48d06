"""Starter: bundle, shim, network, execution."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from scow.api.container.v1 import container_pb2 as pb
from scow.api.shim.v1 import spawner_pb2 as shim_pb
from scow.api.types.v1.types_pb2 import Mount
from scow.container.lifecycle import image_mounts, remount, start_plan, warnings
from scow.container.lifecycle.activation import activate
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.dependencies import Dependencies
from scow.container.lifecycle.exit import Exits
from scow.container.lifecycle.links import Links
from scow.container.lifecycle.networking import Networking
from scow.container.lifecycle.shared_mounts import SharedMounts
from scow.container.lifecycle.timings import Stopwatch
from scow.container.lifecycle.transitions import Execution, Respond
from scow.container.logs import about
from scow.container.logs import options as logoptions
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.runtime.shim import Shim
from scow.container.runtime.spawner import Spawned
from scow.container.shared import Shared
from scow.container.spec import bundle, cgroup_parent, document, mounts, namespaces
from scow.contract.errors import ScowError
from scow.core import metrics
from scow.core.disk import writing
from scow.core.tasks import completed

_STARTABLE = frozenset((pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_RESTARTING))
# Called with the shim when the container waits to be executed.
Before = Callable[[Shim], Awaitable[None]]


class Starter:
    """Starts containers."""

    def __init__(
        self, shared: Shared, cleanup: Cleanup, exits: Exits, mounted: SharedMounts
    ) -> None:
        self._shared = shared
        self._networking = Networking(shared)
        self._cleanup = cleanup
        self._mounted = mounted
        self._exits = exits
        self._observe = metrics.histogram(
            shared.config.server.metrics,
            "scow_container_start_seconds",
            "How long the stages of containers' starts took.",
            "stage",
        )
        self._dependencies = Dependencies(
            shared.containers, shared.config.container.dependency_seconds
        )

    async def start(
        self,
        entry: Entry,
        *,
        before: Before | None = None,
        respond: Respond | None = None,
        window: tuple[int, int] = (0, 0),
        automatic: bool = False,
    ) -> bool:
        """Start a container; return False when it runs already.

        Args:
            entry: Which one.
            before: What is to be done before the process is executed.
            respond: Makes the response that a repeated request gets.
            window: Rows and columns of the terminal.
            automatic: Its restart policy asks for it; nothing is done when that has changed meanwhile.

        Raises:
            ContainerPaused, ContainerBusy: It cannot be started in the state that it is in.
            CommandNotFound, CommandNotExecutable, UserNotFound, MountFailed: It cannot be executed.
            DependencyNotReady: A container that it depends on does not get ready.
            ScowError: What the network service says.
        """
        watch = Stopwatch()
        if entry.described.config.depends_on and not (entry.alive or entry.gone):
            with watch.part("dependencies"):
                await self._dependencies.ready(entry)
        async with entry.lock:
            if automatic and not entry.awaits_restart:
                return False
            if entry.gone:
                raise states.gone(entry.described)
            status = entry.described.status
            if status == pb.STATUS_RUNNING:
                return False
            if status == pb.STATUS_PAUSED:
                raise states.paused(entry.described)
            if status not in _STARTABLE:
                raise states.busy(entry.described)
            with watch.part("cleanup"):
                await self._cleanup.cleaned_up(entry)
            try:
                await self._launch(entry, before, respond, window, watch)
            except BaseException as error:
                await completed(self._undo(entry, error))
                raise
            finally:
                self._mounted.done(entry)
            return True

    async def _launch(
        self,
        entry: Entry,
        before: Before | None,
        respond: Respond | None,
        window: tuple[int, int],
        watch: Stopwatch,
    ) -> None:
        """Spawn, plug the network in, execute, record, follow: docs/architecture.md draws it."""
        spawned = await self._spawned(entry, window, watch)
        netns = spawned.netns
        shim = entry.shim = self._shared.shim(entry.id)
        try:
            with watch.part("network"):
                network = await self._attach(entry, netns)
            if before is not None:
                await before(shim)
            start_plan.keep(self._shared.paths, entry.id, netns, network)
            files = mounts.network_files(
                network, _mounts(entry), read_only=entry.described.config.read_only
            )
            # Waited for also when the caller goes away: it is executed or it is not, and then has ended.
            secrets = self._shared.secrets.handed_over(entry.described.config)
            try:
                with watch.part("exec", last=True) as parts:
                    pid, started_ns = await completed(spawned.start(files, secrets))
                    parts += spawned.stages
            finally:
                if secrets >= 0:
                    os.close(secrets)
        finally:
            spawned.close()
        executed = Execution(
            pid=pid,
            netns_path=netns,
            started_ns=started_ns,
            network=network,
            warnings=warnings.of_start(entry, self._shared.paths.state(entry.id)),
            timings=watch.stop(self._observe),
        )
        self._shared.transitions.started(entry, executed, respond=respond)
        self._exits.follow(entry, shim)

    async def _spawned(self, entry: Entry, window: tuple[int, int], watch: Stopwatch) -> Spawned:
        """Spawn a shim, once more when the mounts of the root file system on record do not work any more."""
        try:
            return await self._spawn(entry, window, watch)
        except remount.STALE:
            if not await remount.renew(self._shared, entry):
                raise
            await self._cleanup.clean_up(entry, drain=False)
            return await self._spawn(entry, window, watch)

    async def _spawn(self, entry: Entry, window: tuple[int, int], watch: Stopwatch) -> Spawned:
        paths, config = self._shared.paths, entry.described.config
        around = self._surroundings(entry, window)
        state = paths.state(entry.id)
        with writing(state.parent):
            state.mkdir(mode=0o700)
        # The folder is there: whatever happens from here on, volumes are given back with it.
        with watch.part("volumes"):
            volumes = await activate(self._shared, self._cleanup, self._mounted, entry)
        with watch.part("bundle"), writing(state.parent):
            made = document.make(entry.described, volumes, around)
            bundle.write(around.bundle, made, entry.rootfs.mounts, image_mounts.layers(entry))
        request = shim_pb.Spawn(
            id=entry.id,
            bundle=str(around.bundle),
            state_dir=str(state),
            socket=str(paths.socket(entry.id)),
            cgroup_parent=cgroup_parent.resolve(config.cgroup_parent, self._shared.config.instance),
            log=self._log(entry),
            stdin=config.stdin_open,
            stdin_once=config.stdin_once,
        )
        answered: list[Spawned] = []

        async def spawn() -> None:
            answered.append(await self._shared.spawner.spawn(request))

        try:
            # Waited for also when the caller goes away: what is being made can only be ended once it is there.
            with watch.part("shim") as parts:
                await completed(spawn())
                parts += answered[0].stages
        except BaseException:
            for spawned in answered:
                spawned.close()
            raise
        return answered[0]

    def _log(self, entry: Entry) -> shim_pb.ShimLog | None:
        options = logoptions.parse(entry.described.config.log)
        if options.driver == "none":
            return None
        section = self._shared.config.container
        return shim_pb.ShimLog(
            path=entry.described.log_path,
            max_size=options.max_size or section.log_max_size,
            max_files=options.max_files or section.log_max_files,
            format=options.form,
            attrs=about.as_json(entry.described, options.given) if options.form == "json" else "",
            compress=options.compress,
        )

    def _surroundings(self, entry: Entry, window: tuple[int, int]) -> document.Surroundings:
        config, paths = entry.described.config, self._shared.paths
        joined = {}
        for kind, file, mode in (
            ("network", "net", namespaces.network(config)),
            ("pid", "pid", namespaces.pid(config)),
            ("ipc", "ipc", namespaces.ipc(config)),
            ("user", "user", namespaces.user(config)),
        ):
            if mode.kind == "container":
                target = self._joined(mode.name)
                if kind == "user" and not target.described.HasField("id_range"):
                    continue
                joined[kind] = f"/proc/{target.described.pid}/ns/{file}"
        linked = tuple(Links(self._shared.containers, entry).variables())
        cdi = tuple(map(Path, self._shared.config.container.cdi_directories))
        return document.Surroundings(paths.bundle(entry.id), joined, window, linked, cdi)

    def _joined(self, container: str) -> Entry:
        target = self._shared.containers.find(container)
        if not target.alive:
            raise states.not_running(target.described)
        return target

    async def _attach(self, entry: Entry, netns: str) -> pb.Container:
        """Plug the network in; return the fields of a container that say how."""
        mode = namespaces.network(entry.described.config)
        if mode.kind == "container":
            target = self._joined(mode.name).described
            return pb.Container(
                resolv_conf_path=target.resolv_conf_path,
                hosts_path=target.hosts_path,
                hostname_path=target.hostname_path,
            )
        return await self._networking.plug(entry, netns)

    async def _undo(self, entry: Entry, error: BaseException) -> None:
        """Clean up after a start that failed, and record why it did; that the caller left is no reason."""
        try:
            await self._cleanup.clean_up(entry, drain=False)
        finally:
            if isinstance(error, ScowError):
                self._shared.transitions.not_started(entry, error)
            self._exits.follow_up(entry)


def _mounts(entry: Entry) -> list[Mount]:
    return [resolved.mount for resolved in entry.volumes.mounts]
