"""Preflight: all that a creation and the start after it would refuse, found out without making anything.

What others have meanwhile may change the answer: it is about now. What only trying can tell is not asked: whether the
program is in the image, whether a user is, whether a volume's driver works, whether an address
of a network is free.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.lifecycle import dependencies, id_ranges, volumes_from
from scow.container.lifecycle.create import join
from scow.container.logs import journald
from scow.container.logs import options as logoptions
from scow.container.model import attachments, image_config, names, validation
from scow.container.shared import Shared
from scow.container.spec import cdi, document, namespaces, process, storage
from scow.container.spec import devices as devicelist
from scow.contract.errors import AddressInUse, BindSourceNotFound, ScowError

# Host ports that are looked at.
_MOST_PORTS = 4096
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_BUILT_IN = ("", "bridge", "host", "none")


class Preflight:
    """Finds out what would be refused."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def problems(self, request: pb.PreflightRequest) -> list[ScowError]:
        """Return all that would be refused, each once."""
        config = pb.ContainerConfig()
        config.CopyFrom(request.config)
        if config.networks:
            config.network = config.networks[0].network
        name = request.name.removeprefix("/")
        found = [*self._name(name), *validation.problems(config)]
        found += self._others(config, name)
        found += self._machine(config)
        found += await asyncio.to_thread(lambda: list(self._ports(config)))
        found += await self._image(config)
        found += await self._networks(config)
        return _once(found)

    def _name(self, name: str) -> Iterator[ScowError]:
        if name:
            yield from _tried(
                lambda: names.check(name), lambda: self._shared.containers.check_free(name)
            )

    def _others(self, config: pb.ContainerConfig, name: str) -> list[ScowError]:
        """Return what is wrong with the containers that are named."""
        containers, section = self._shared.containers, self._shared.config.container
        found = [
            *_tried(
                lambda: join(config, containers),
                lambda: dependencies.resolve(config, name, containers),
                lambda: volumes_from.mounts(config, containers, process.mounts(config)),
                lambda: id_ranges.choose(config, containers, section),
            )
        ]
        for link in config.links:
            target = link.strip("/").partition(":")[0]
            found += _tried(partial(containers.find, target))
        return found

    def _machine(self, config: pb.ContainerConfig) -> list[ScowError]:
        """Return what of this machine is missing."""
        section = self._shared.config.container
        folders = [Path(folder) for folder in section.cdi_directories]
        found: list[ScowError] = []
        for device in config.cdi_devices:
            found += _tried(partial(cdi.edits, [device], folders))
        for each in config.devices:
            found += _tried(partial(devicelist.nodes, [each], privileged=False))
        for mount in config.mounts:
            if (
                mount.type == "bind"
                and not mount.create_source
                and not os.path.exists(mount.source)
            ):
                found.append(_no_source(mount.source))
        found += _tried(lambda: self._check_storage(config))
        log = pb.ContainerConfig()
        log.CopyFrom(config)
        found += _tried(lambda: log.log.CopyFrom(logoptions.resolve(config, section)))
        if log.log.driver == "journald":
            found += _tried(lambda: journald.check_here(section.journal_socket))
        return found

    def _check_storage(self, config: pb.ContainerConfig) -> None:
        if storage.size(config):
            storage.check_folder(self._shared.config.data("image") / "snapshots")

    def _ports(self, config: pb.ContainerConfig) -> Iterator[ScowError]:
        """Yield an error for each host port that cannot be had, or is asked for twice."""
        if namespaces.network(config).kind in ("host", "none", "container"):
            return
        seen: set[tuple[str, str, int]] = set()
        for protocol, address, port in _host_ports(config.ports):
            if len(seen) >= _MOST_PORTS:
                return
            place = address or self._shared.config.network.publish_address
            key = (protocol, place, port)
            if key in seen or not _free(protocol, place, port):
                yield AddressInUse(
                    f"port {port}/{protocol} of {place or 'the host'} is taken",
                    what="port",
                    which=str(port),
                    do="publish another one, or see who has it: ss -lntup",
                )
            seen.add(key)

    async def _image(self, config: pb.ContainerConfig) -> list[ScowError]:
        """Return what is wrong with images, and with what they say."""
        found: list[ScowError] = []
        for mount in config.mounts:
            if mount.type == "image":
                found += await _awaited(self._shared.images.get(mount.source))
        if not config.image:
            return found
        try:
            image = await self._shared.images.get(config.image)
        except ScowError as error:
            return [*found, error]
        described = pb.Container(id="0" * 64, config=config)
        surroundings = document.Surroundings(self._shared.paths.bundle(described.id))
        found += _tried(
            lambda: image_config.check(image.config),
            lambda: process.apply(described, image),
            lambda: document.make(described, (), surroundings),
        )
        return found

    async def _networks(self, config: pb.ContainerConfig) -> list[ScowError]:
        found: list[ScowError] = []
        if namespaces.network(config).kind == "container":
            return found
        for each in attachments.of(config):
            if each.network not in _BUILT_IN:
                found += await _awaited(self._shared.networks.find(each.network))
        return found


def _tried(*rules: Callable[[], object]) -> list[ScowError]:
    found = []
    for rule in rules:
        try:
            rule()
        except ScowError as error:
            found.append(error)
    return found


async def _awaited(work: Awaitable[object]) -> list[ScowError]:
    try:
        await work
    except ScowError as error:
        return [error]
    return []


def _host_ports(ports: Iterable[PortMapping]) -> Iterator[tuple[str, str, int]]:
    for mapping in ports:
        if mapping.host_port:
            for offset in range(max(mapping.count, 1)):
                yield mapping.protocol or "tcp", mapping.host_ip, mapping.host_port + offset


def _free(protocol: str, address: str, port: int) -> bool:
    """Tell whether a port of the host can be had: a socket is bound to it for a moment."""
    kind = _KINDS.get(protocol)
    if kind is None or port > 65535:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    return True


def _no_source(source: str) -> BindSourceNotFound:
    return BindSourceNotFound(
        f"bind source path does not exist: {source}",
        what="mount",
        which=source,
        do="make it first, or use -v, which makes a directory",
    )


def _once(found: Iterable[ScowError]) -> list[ScowError]:
    """Return errors without those that say the same again."""
    by_text = {(error.reason, error.message): error for error in found}
    return list(by_text.values())
