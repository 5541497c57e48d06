"""Creation: the intent is recorded, then snapshot and volumes are asked for, then it is a container."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1 import image_pb2
from scow.api.volume.v1 import volume_pb2
from scow.container.health import checks
from scow.container.lifecycle import dependencies, id_ranges, image_mounts, volumes_from
from scow.container.lifecycle.timings import Stopwatch
from scow.container.logs import journald, options
from scow.container.model import attachments, image_config, names, validation
from scow.container.model.containers import Containers, Entry
from scow.container.model.invalid import invalid
from scow.container.shared import Shared
from scow.container.spec import cdi, namespaces, process, signal_names, storage
from scow.contract.errors import FailedPrecondition, ScowError
from scow.core.config import ContainerSection
from scow.core.disk import writing
from scow.core.requests import remember
from scow.core.tasks import completed, together
from scow.core.times import now_ns, to_proto

_HOST_PORTS = "published ports mean nothing in the network mode {mode} and are left out"
_LOG_OPTIONS = "log options change nothing here, since no container waits for a server: {names}"


@dataclass(frozen=True, slots=True)
class Created:
    """A container that was made.

    Attributes:
        container: It.
        warnings: What was asked for and will not be given.
    """

    container: pb.Container
    warnings: list[str]


class Creation:
    """Creates containers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def create(self, request: pb.CreateRequest) -> Created:
        """Create a container.

        Raises:
            InvalidConfig, InvalidName: The request is wrong.
            NameInUse: Another container has the name.
            ImageUnusable: The image's configuration has a value that no container can be made with.
            ScowError: What the image, volume or network service says.
        """
        name = request.name.removeprefix("/")
        if request.name:
            names.check(name)
        validation.check(request.config)
        cdi.edits(
            request.config.cdi_devices, map(Path, self._shared.config.container.cdi_directories)
        )
        described = pb.Container(
            id=secrets.token_hex(32),
            name=name,
            created_at=to_proto(now_ns()),
            config=request.config,
            status=pb.STATUS_CREATING,
        )
        if request.config.networks:
            described.config.network = request.config.networks[0].network
        section = self._shared.config.container
        described.config.log.CopyFrom(options.resolve(described.config, section))
        if described.config.log.driver == "journald":
            journald.check_here(section.journal_socket)
        self._shared.secrets.resolve(described.config)
        join(described.config, self._shared.containers)
        dependencies.resolve(described.config, name, self._shared.containers)
        ids = id_ranges.choose(
            described.config, self._shared.containers, self._shared.config.container
        )
        if ids is not None:
            described.id_range.CopyFrom(ids)
        described.hostname = _hostname(described, self._shared.containers)
        entry = self._shared.containers.reserve(described)
        async with entry.lock:
            try:
                return await self._fill(entry)
            except BaseException:
                await completed(self.rollback(entry))
                raise

    async def _fill(self, entry: Entry) -> Created:
        config, watch = entry.described.config, Stopwatch()
        wanted = process.mounts(config)
        wanted += volumes_from.mounts(config, self._shared.containers, wanted)
        images, volumes = self._shared.images, self._shared.volumes
        prepared, held, networks = await together(
            watch.timed("snapshot", images.prepare(entry.owner, config)),
            watch.timed("volumes", volumes.acquire(entry.owner, wanted)),
            watch.timed("networks", self._networks(config)),
        )
        image_config.check(prepared.image.config)
        if storage.size(config):
            storage.check(prepared.mounts)
        more = process.image_volumes(wanted, prepared.image.config)
        if more:
            # The same owner replaces what it held: the first mounts, in the same places, stay what they are.
            held = await volumes.acquire(entry.owner, [*wanted, *more])
        await image_mounts.prepare(images, entry, held)
        with watch.part("content"):
            await self._fill_volumes(entry, prepared, held)
        data = self._shared.paths.data(entry.id)
        with writing(data.parent):
            data.mkdir(mode=0o700)
        return self._record(entry, prepared, held, networks, watch)

    async def _fill_volumes(
        self,
        entry: Entry,
        prepared: image_pb2.PrepareResponse,
        volumes: volume_pb2.AcquireResponse,
    ) -> None:
        """Fill volumes that have no content yet with what the image has at their places."""
        copies = [(m.mount.destination, m.fill_path) for m in volumes.mounts if m.fill_path]
        if not copies:
            return
        await self._shared.spawner.copy(prepared.mounts, copies)
        await self._shared.volumes.fill(entry.owner)

    async def _networks(self, config: pb.ContainerConfig) -> list[pb.NetworkAttachment]:
        """Return the networks that are asked for, by their names; the default one is always there.

        Raises:
            NetworkNotFound: There is no such network.
            InvalidConfig: One is asked for twice, or has no interfaces.
        """
        found = attachments.of(config)
        for each in found:
            if each.network == "bridge":
                continue
            network = await self._shared.networks.find(each.network)
            if network.driver in ("host", "null"):
                raise invalid("network", f"names {network.name} by its id", f"use {network.name}")
            each.network = network.name
        if len({each.network for each in found}) < len(found):
            raise invalid("networks", "names a network twice", "name each once")
        return found

    def _record(
        self,
        entry: Entry,
        prepared: image_pb2.PrepareResponse,
        volumes: volume_pb2.AcquireResponse,
        networks: list[pb.NetworkAttachment],
        watch: Stopwatch,
    ) -> Created:
        containers = self._shared.containers
        with containers.change(entry, ["create"]) as (tx, draft):
            process.apply(draft, prepared.image)
            asked = draft.config.health_check if draft.config.HasField("health_check") else None
            if (check := checks.resolve(asked, prepared.image.config)) is not None:
                draft.health_check.CopyFrom(check)
            signal_names.parse(draft.stop_signal, "stop_signal")
            draft.mounts.extend(map(mount_point, volumes.mounts))
            draft.snapshot_driver = prepared.driver
            if storage.size(draft.config):
                taken = (each.described.storage_project for each in containers.all())
                draft.storage_project = storage.project(taken)
            draft.networks.extend(networks)
            draft.status = pb.STATUS_CREATED
            draft.create_timings.CopyFrom(watch.stop())
            log = options.parse(draft.config.log)
            if log.driver != "none":
                draft.log_path = str(self._shared.paths.log(entry.id, log.form))
            rootfs = image_pb2.PrepareResponse(mounts=prepared.mounts, driver=prepared.driver)
            for mount in volumes.mounts:
                mount.ClearField("fill_path")  # it was filled, or will not be
            containers.store.hold(tx, entry.id, rootfs, volumes)
            created = Created(draft, _warnings(draft.config, self._shared.config.container))
            remember(tx, created)
        entry.rootfs, entry.volumes = rootfs, volumes
        return created

    async def rollback(self, entry: Entry) -> None:
        """Give back what a creation that failed holds, and forget it.

        What cannot be given back now is given back later: the owner is unknown from here on.
        """
        await together(
            _tried(self._shared.images.release(entry.owner)),
            _tried(image_mounts.release(self._shared.images, entry)),
            _tried(self._shared.volumes.release(entry.owner, remove_anonymous=True)),
        )
        self._shared.paths.discard_data(entry.id)
        with self._shared.containers.store.store.transaction() as tx:
            self._shared.containers.forget(tx, entry, created=False)
        self._shared.containers.forgotten(entry)


async def _tried(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(ScowError):
        await work


def join(config: pb.ContainerConfig, containers: Containers) -> None:
    """Replace the names of containers whose namespaces are joined by their ids.

    Raises:
        ContainerNotFound: There is no such container.
        InvalidConfig: It does not share its ipc namespace.
        FailedPrecondition: It has no network of its own to share.
    """
    for field, mode in (
        ("network", namespaces.network(config)),
        ("pid_mode", namespaces.pid(config)),
        ("ipc_mode", namespaces.ipc(config)),
        ("userns_mode", namespaces.user(config)),
    ):
        if mode.kind != "container":
            continue
        target = containers.find(mode.name)
        setattr(config, field, f"{namespaces.PREFIX}{target.id}")
        if field == "ipc_mode" and namespaces.ipc(target.described.config).kind != "shareable":
            raise invalid(
                field,
                f"names {mode.name}, which does not share its ipc namespace",
                "create that container with ipc mode shareable",
            )
        if field == "network" and namespaces.network(target.described.config).kind == "container":
            raise FailedPrecondition(
                f"container {mode.name} itself uses the network of another one",
                what="container",
                which=mode.name,
                do="name the container that has the network",
            )


def _hostname(described: pb.Container, containers: Containers) -> str:
    config = described.config
    mode = namespaces.network(config)
    if mode.kind == "container":
        return containers.find(mode.name).described.hostname
    if config.hostname:
        return config.hostname
    if namespaces.uts(config).kind == "host" or mode.kind == "host":
        return os.uname().nodename
    return described.id[:12]


def mount_point(resolved: volume_pb2.ResolvedMount) -> pb.MountPoint:
    """Return a mount as clients see it."""
    return pb.MountPoint(
        type=resolved.type,
        name=resolved.name,
        source=resolved.mount.source if resolved.type != "tmpfs" else "",
        destination=resolved.mount.destination,
        driver=resolved.driver,
        read_only=resolved.read_only,
        propagation=resolved.propagation,
    )


def _warnings(config: pb.ContainerConfig, section: ContainerSection) -> list[str]:
    mode = namespaces.network(config).kind
    found = []
    if (config.ports or config.publish_all) and mode in ("host", "none"):
        found.append(_HOST_PORTS.format(mode=mode))
    if ignored := options.without_effect(config.log, section):
        found.append(_LOG_OPTIONS.format(names=", ".join(ignored)))
    return found
