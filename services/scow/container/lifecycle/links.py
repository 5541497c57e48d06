"""Links to other containers, as Docker's `--link` has made them since before there were networks of the user.

On the default network a link is a line in the hosts file and variables, both of the moment at which the container
starts, and the other container has to run then. On networks of the user it is a name of the container's own for the
other's name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from scow.api.container.v1 import container_pb2 as pb
from scow.container.model.containers import Containers, Entry
from scow.contract.errors import ContainerNotFound, ContainerNotRunning

_DEFAULT = "bridge"
# Of the other container: what it has from its image's and the engine's defaults.
_NOT_SHARED = frozenset({"PATH", "HOME", "HOSTNAME", "TERM"})


def parsed(texts: list[str]) -> dict[str, str]:
    """Return containers by alias, of "NAME:ALIAS" and of "NAME" alone."""
    found = {}
    for text in texts:
        name, _, alias = text.strip("/").partition(":")
        found[alias or name] = name
    return found


class Links:
    """The links of a container that is about to start.

    Args:
        containers: Where the others are found.
        entry: Whose.
    """

    def __init__(self, containers: Containers, entry: Entry) -> None:
        self._containers = containers
        self._described = entry.described
        self._wanted = parsed(list(entry.described.config.links))

    def _targets(self) -> Iterator[tuple[str, pb.Container, str]]:
        """Yield alias, container and address of those that are linked on the default network.

        Raises:
            ContainerNotFound, ContainerNotRunning: One is not there.
        """
        if _DEFAULT not in {each.network for each in self._described.networks}:
            return
        for alias, name in self._wanted.items():
            target = self._containers.find(name).described
            address = next((e.ip_address for e in target.endpoints if e.network == _DEFAULT), "")
            if not address:
                raise ContainerNotRunning(
                    f"Cannot link to a non running container: /{target.name} AS /{self._described.name}/{alias}",
                    what="container",
                    which=target.name,
                    do="start it first, on the same network",
                )
            yield alias, target, address

    def hosts(self) -> list[str]:
        """Return what the hosts file says, "name:address"."""
        return [
            f"{name}:{address}"
            for alias, target, address in self._targets()
            for name in dict.fromkeys((alias, target.hostname, target.name))
        ]

    def names(self) -> Mapping[str, str]:
        """Return the container's own names for others, with the names that they stand for."""
        found = {}
        for alias, name in self._wanted.items():
            known = name
            with contextlib.suppress(ContainerNotFound):  # it may come, and be called so then
                known = self._containers.find(name).described.name
            if known != alias:
                found[alias] = known
        return found

    def variables(self) -> list[str]:
        """Return the variables that tell of linked containers."""
        return [
            variable
            for alias, target, address in self._targets()
            for variable in _variables(self._described.name, alias, target, address)
        ]


def _variables(own: str, alias: str, target: pb.Container, address: str) -> Iterator[str]:
    prefix = alias.upper().replace("-", "_").replace(".", "_")
    yield f"{prefix}_NAME=/{own}/{alias}"
    for number, text in enumerate(target.exposed_ports):
        port, _, protocol = text.partition("/")
        place = f"{protocol}://{address}:{port}"
        if not number:
            yield f"{prefix}_PORT={place}"
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield f"{name}={place}"
        yield f"{name}_ADDR={address}"
        yield f"{name}_PORT={port}"
        yield f"{name}_PROTO={protocol}"
    for text in target.env:
        key = text.partition("=")[0]
        if key not in _NOT_SHARED:
            yield f"{prefix}_ENV_{text}"
