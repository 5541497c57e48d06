"""The driver of the volumes of one plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import PluginFaulty, PluginRefused, ScowError
from scow.volume.drivers.base import Capabilities, Source
from scow.volume.drivers.plugin.protocol import Client
from scow.volume.store import Volume

_PATH_MAX = 4095
_SCOPES = frozenset(("local", "global"))


class PluginDriver:
    """See `scow.volume.drivers.base`. What the plugin says about its volumes is kept in memory alone.

    Args:
        name: Of the plugin.
        check_known: Raises InvalidArgument when there is no such plugin.
        connect: Returns a client of it, checking that it may be used. Its argument tells whether that is for a new
            use, which a disabled plugin does not have. Raises ScowError.
    """

    def __init__(
        self, name: str, check_known: Callable[[], None], connect: Callable[[bool], Client]
    ) -> None:
        self._name = name
        self._check_known = check_known
        self._connect = connect
        self._scope = "local"
        # What was told last of volumes, by name.
        self._paths: dict[str, str] = {}
        # Why it could not be asked the last time.
        self._fault = ""

    @property
    def capabilities(self) -> Capabilities:
        """As the plugin said when it was last asked."""
        return Capabilities(scope=self._scope)

    async def create(self, volume: Volume) -> None:
        """Have the plugin make a volume; its options are the plugin's to judge."""
        self._check_known()
        client = self._connect(True)
        await self._look(client)
        arguments = {"Name": volume.name, "Opts": dict(volume.options)}
        await client.call("VolumeDriver.Create", arguments)

    async def _look(self, client: Client) -> None:
        """Ask what the plugin is.

        Raises:
            PluginFaulty: It keeps no volumes.
        """
        answer = await client.call("Plugin.Activate", {})
        kinds = answer.get("Implements")
        if not isinstance(kinds, list) or "VolumeDriver" not in kinds:
            raise self._faulty(
                f"plugin {self._name} keeps no volumes: it implements {kinds!r:.200}"
            )
        answer = await client.call("VolumeDriver.Capabilities", {})
        told = answer.get("Capabilities")
        scope = told.get("Scope") if isinstance(told, dict) else ""
        self._scope = scope if isinstance(scope, str) and scope in _SCOPES else "local"

    async def mount(self, volume: Volume, owner: str) -> Source:
        """Have the plugin mount a volume; the source is where it says that it did."""
        client = self._connect(True)
        arguments = {"Name": volume.name, "ID": _id(owner)}
        answer = await client.call("VolumeDriver.Mount", arguments)
        place = self._place(answer.get("Mountpoint"))
        if not place:
            answer = await client.call("VolumeDriver.Path", {"Name": volume.name})
            place = self._place(answer.get("Mountpoint"))
        if not place:
            raise self._faulty(f"plugin {self._name} does not say where volume {volume.name} is")
        self._paths[volume.name] = place
        return Source("bind", place, ("rbind", "rprivate"))

    def _place(self, place: object) -> str:
        """Return a mount point that a plugin told; empty for none.

        Raises:
            PluginFaulty: It is no place.
        """
        if place is None or place == "":
            return ""
        if not isinstance(place, str) or not place.startswith("/") or "\0" in place:
            raise self._faulty(f"plugin {self._name} names no absolute path: {place!r:.200}")
        if len(place.encode(errors="replace")) > _PATH_MAX or ".." in place.split("/"):
            raise self._faulty(f"plugin {self._name} names a path that is too long or has '..'")
        return place

    async def unmount(self, volume: Volume, owner: str) -> None:
        """Have the plugin unmount a volume for an owner; one that it does not have is not mounted."""
        client = self._connect(False)
        arguments = {"Name": volume.name, "ID": _id(owner)}
        try:
            await client.call("VolumeDriver.Unmount", arguments)
        except PluginRefused:
            if await self._has(client, volume):
                raise

    async def remove(self, volume: Volume) -> None:
        """Have the plugin delete a volume; one that it does not have is gone already."""
        client = self._connect(False)
        if await self._has(client, volume):
            await client.call("VolumeDriver.Remove", {"Name": volume.name})
        self._paths.pop(volume.name, None)

    async def _has(self, client: Client, volume: Volume) -> bool:
        return volume.name in {name for name, _ in await self._volumes(client)}

    async def _volumes(self, client: Client) -> list[tuple[str, str]]:
        """Return name and place of all volumes that the plugin has."""
        answer = await client.call("VolumeDriver.List", {})
        listed = answer.get("Volumes") or []
        if not isinstance(listed, list):
            raise self._faulty(f"plugin {self._name} lists volumes by no list")
        return [self._named(each) for each in listed]

    def _named(self, told: Any) -> tuple[str, str]:
        name = told.get("Name") if isinstance(told, dict) else None
        if not isinstance(name, str):
            raise self._faulty(f"plugin {self._name} lists a volume without a name")
        return name, self._place(told.get("Mountpoint"))

    async def volumes(self) -> list[str]:
        """Return the names of all volumes that the plugin has, also of others than this engine's.

        Raises:
            ScowError: It cannot be asked.
        """
        return sorted(name for name, _ in await self._volumes(self._connect(False)))

    def path(self, volume: Volume) -> str:
        """Return the place that was told last."""
        return self._paths.get(volume.name, "")

    def fault(self) -> str:
        """Return why the plugin cannot be used, as far as that is known without asking it."""
        try:
            self._connect(False)
        except ScowError as error:
            return error.message
        return self._fault

    def folder(self, volume: Volume) -> Path | None:
        """Return None: the data are the plugin's."""
        return None

    def size_limit(self, volume: Volume) -> int:
        """Return nothing: options are the plugin's."""
        return 0

    async def reconcile(self, volumes: Sequence[Volume]) -> list[ReconcileAction]:
        """Ask where volumes are. A plugin that is away keeps its volumes, and none is made anew in its place."""
        if volumes:
            try:
                await self._look(self._connect(False))
                self._paths.update(await self._volumes(self._connect(False)))
                self._fault = ""
            except ScowError as error:
                self._fault = error.message
        return []

    async def close(self) -> None:
        """Nothing was put off."""

    def _faulty(self, message: str) -> PluginFaulty:
        return PluginFaulty(
            message,
            what="plugin",
            which=self._name,
            do="this is a fault of the plugin: see its log",
        )


def _id(owner: str) -> str:
    """Return the id by which a plugin counts who has a volume mounted: that of the container."""
    return owner.removeprefix("container/")
