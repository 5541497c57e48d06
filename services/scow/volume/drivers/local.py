"""The driver `local`: a folder of the engine's, or a file system or folder of the host that the options name.

Options are Docker's: `type`, `device` and `o` as mount(2) takes them, with the words of mount(8) for its flags. Without
any, a volume is a folder. What options name is mounted by the shim, inside of containers: on the host there is never a
mount of a volume, so none can be left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import InvalidArgument, MountFailed
from scow.kernel import hostpath
from scow.volume.directories import Directories
from scow.volume.drivers.base import Capabilities, Source
from scow.volume.store import Volume
from scow.words.units import parse_size

_OPTIONS = ("device", "o", "size", "type")
_NEEDED = {"device": ("type",), "o": ("device", "type"), "size": (), "type": ("device",)}
_NO_TYPE = frozenset(("", "none", "bind"))
_NETWORK = frozenset(("nfs", "nfs4", "cifs"))
_BINDS = frozenset(("bind", "rbind"))


class LocalDriver:
    """See above."""

    def __init__(self, directories: Directories) -> None:
        self._directories = directories

    @property
    def capabilities(self) -> Capabilities:
        """Of this machine, and mounted by containers alone."""
        return Capabilities(scope="local")

    async def create(self, volume: Volume) -> None:
        """Make the folder. One that the options make needless is made too: it is the place that people are told."""
        check(volume.name, volume.options)
        self._directories.make(volume.name)

    async def mount(self, volume: Volume, owner: str) -> Source:
        """Say what is to be mounted; a folder that was deleted by hand is made anew rather than failing each start."""
        if not is_elsewhere(volume):
            self._directories.make(volume.name)
            return Source("bind", str(self._directories.data(volume.name)), ("rbind", "rprivate"))
        options = tuple(o for o in volume.options.get("o", "").split(",") if o)
        kind, device = volume.options.get("type", ""), volume.options["device"]
        if kind in _NO_TYPE or _BINDS.intersection(options):
            bind = () if _BINDS.intersection(options) else ("rbind",)
            return Source("bind", device, (*bind, *options, *_links(device)))
        return Source(kind, device, await _with_addresses(kind, options), once=True)

    async def unmount(self, volume: Volume, owner: str) -> None:
        """Do nothing: the mount ends with the last container that has it."""

    async def remove(self, volume: Volume) -> None:
        """Take the folder out of sight; it is deleted in the background."""
        self._directories.discard(volume.name)

    def path(self, volume: Volume) -> str:
        """Return the folder, as Docker does also for what the options name."""
        return str(self._directories.data(volume.name))

    def fault(self) -> str:
        """Return nothing: folders are always there."""
        return ""

    def folder(self, volume: Volume) -> Path | None:
        """Return the folder, unless the data are elsewhere."""
        return None if is_elsewhere(volume) else self._directories.data(volume.name)

    def size_limit(self, volume: Volume) -> int:
        """Return what the option `size` says, as Docker reads it."""
        return _size(volume.name, volume.options)

    async def reconcile(self, volumes: Sequence[Volume]) -> list[ReconcileAction]:
        """Make missing folders anew, delete those without a record and those that were half made."""
        actions = []
        recorded = {volume.name for volume in volumes}
        present = self._directories.names()
        for name in sorted(present - recorded):
            self._directories.discard(name)
            actions.append(_action(name, "released", "a folder without a record"))
        for name in sorted(recorded - present):
            self._directories.make(name)
            actions.append(_action(name, "rebuilt", "its folder was missing, the data is lost"))
        halves = self._directories.remove_half_made()
        return actions + [_action(name, "released", "half made") for name in halves]

    async def close(self) -> None:
        """Nothing was put off."""


def _links(device: str) -> list[str]:
    """Return the options that let no links be followed but those that are there now.

    Raises:
        MountFailed: It cannot be looked up.
    """
    try:
        return hostpath.options(hostpath.links(device))
    except OSError as error:
        raise MountFailed(
            f"cannot use {device}: {error.strerror}",
            what="volume option",
            which=f"device={device}",
            do="choose another directory",
        ) from error


async def _with_addresses(kind: str, options: tuple[str, ...]) -> tuple[str, ...]:
    """Return options with the server's address in place of its name: the kernel asks no name server.

    Raises:
        MountFailed: The name is not known.
    """
    if kind not in _NETWORK:
        return options
    found = []
    for option in options:
        name = option.removeprefix("addr=")
        if name != option:
            try:
                infos = await asyncio.get_running_loop().getaddrinfo(name, None)
            except OSError as error:
                raise MountFailed(
                    f"error resolving passed in network volume address {name}: {error.strerror}",
                    what="volume option",
                    which=option,
                    do="give an address, or see to the name server",
                ) from error
            option = f"addr={infos[0][4][0]}"
        found.append(option)
    return tuple(found)


def is_elsewhere(volume: Volume) -> bool:
    """Tell whether a volume is what its options name, rather than a folder of the engine's."""
    return "device" in volume.options


def check(name: str, options: dict[str, str]) -> None:
    """Refuse options that Docker refuses, in its words.

    Raises:
        InvalidArgument: An unknown option, or one that is missing.
    """
    for option in sorted(options):
        if option not in _OPTIONS:
            raise _invalid(
                name, f'invalid option: "{option}"', option, f"use {', '.join(_OPTIONS)}"
            )
    for option in sorted(options):
        for other in _NEEDED[option]:
            if other not in options:
                text = f'missing required option: "{other}"'
                raise _invalid(name, text, other, "give type and device; type=none for a bind")
    if _size(name, options) and "device" in options:
        text = "the option size limits folders of the engine's own"
        raise _invalid(name, text, "size", "limit what the device has; a tmpfs by o=size=...")


def _size(name: str, options: dict[str, str]) -> int:
    """Return the bytes of the option `size`.

    Raises:
        InvalidArgument: It is none.
    """
    text = options.get("size", "0")
    try:
        return parse_size(text)
    except ValueError as error:
        raise _invalid(name, str(error), f"size={text}", 'give bytes, or "10m", "1.5g"') from error


def _invalid(name: str, text: str, option: str, advice: str) -> InvalidArgument:
    return InvalidArgument(f"create {name}: {text}", what="volume option", which=option, do=advice)


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=f"volume/{name}", action=action, detail=detail)
