"""All plugins: where they are, which are disabled, and their drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.message import Message

from scow.api.volume.v1 import plugin_pb2 as pb
from scow.contract.errors import (
    InvalidArgument,
    PluginDisabled,
    PluginInUse,
    PluginNotFound,
    PluginUnavailable,
    ScowError,
)
from scow.core.config import VolumeSection
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.volume.drivers.plugin import discovery
from scow.volume.drivers.plugin.discovery import Found
from scow.volume.drivers.plugin.driver import PluginDriver
from scow.volume.drivers.plugin.protocol import Client
from scow.volume.plugins.store import PluginStore

# Seconds for each plugin when all are listed.
_LIST_SECONDS = 5.0


class Plugins:
    """The plugins of one engine."""

    def __init__(self, settings: VolumeSection, store: Store, journal: Journal) -> None:
        self._folders = [Path(folder) for folder in settings.plugin_dirs]
        self._seconds = settings.plugin_seconds
        self._store = store
        self._rows = PluginStore(store)
        self._journal = journal
        self._drivers: dict[str, PluginDriver] = {}

    def driver(self, name: str) -> PluginDriver:
        """Return the driver of a plugin, whether it is there or not.

        It is kept for a plugin that something speaks of, a file or a volume: others are names that clients make up.
        """
        known = self._drivers.get(name)
        if known is not None:
            return known
        made = PluginDriver(
            name, lambda: self.check_known(name), lambda new: self._connect(name, new)
        )
        if discovery.find(self._folders, name) is not None or self._rows.has_volumes(name):
            self._drivers[name] = made
        return made

    def drivers(self) -> dict[str, PluginDriver]:
        """Return the drivers that were asked for and kept."""
        return self._drivers

    def check_known(self, name: str) -> None:
        """Refuse a name that nothing speaks of.

        Raises:
            InvalidArgument: There is no such plugin.
        """
        if discovery.find(self._folders, name) is None:
            where = f", or put the plugin's socket into {self._folders[0]}" if self._folders else ""
            raise InvalidArgument(
                f"there is no volume driver {name!r}",
                what="volume driver",
                which=name,
                do=f"use local{where}",
            )

    def _connect(self, name: str, new_use: bool) -> Client:
        found = discovery.find(self._folders, name)
        if new_use and name in self._rows.disabled():
            raise PluginDisabled(
                f"plugin {name} is disabled",
                what="plugin",
                which=name,
                do=f"use 'scow plugin enable {name}'",
            )
        if found is None or found.fault:
            raise PluginUnavailable(
                f"plugin {name} is not there{f': {found.fault}' if found else ''}",
                what="plugin",
                which=name,
                do="start the plugin, and try again",
            )
        return Client(name, found.socket, self._seconds)

    async def select(self) -> list[pb.Plugin]:
        """Return all plugins that are there, with what each of them says."""
        found = discovery.find_all(self._folders)
        return list(await asyncio.gather(*(self._described(each) for each in found)))

    async def get(self, name: str) -> pb.Plugin:
        """Return one plugin, with the volumes that it has.

        Raises:
            PluginNotFound: There is none of this name.
        """
        described = await self._described(self._known(name))
        if not described.fault:
            try:
                described.volumes.extend(await self.driver(name).volumes())
            except ScowError as error:
                described.fault = error.message
        return described

    def _known(self, name: str) -> Found:
        found = discovery.find(self._folders, name)
        if found is None:
            raise PluginNotFound(
                f"there is no plugin {name}",
                what="plugin",
                which=name,
                do="see 'scow plugin ls'",
            )
        return found

    async def _described(self, found: Found) -> pb.Plugin:
        described = pb.Plugin(
            name=found.name,
            source=found.source,
            socket=found.socket,
            enabled=found.name not in self._rows.disabled(),
            fault=found.fault,
        )
        if found.fault:
            return described
        client = Client(found.name, found.socket, min(self._seconds, _LIST_SECONDS))
        try:
            kinds = (await client.call("Plugin.Activate", {})).get("Implements")
            if isinstance(kinds, list):
                described.implements.extend(str(kind)[:100] for kind in kinds[:100])
        except ScowError as error:
            described.fault = error.message
        return described

    def enable(self, name: str) -> None:
        """Let a plugin be used again.

        Raises:
            PluginNotFound: There is none of this name.
        """
        self._known(name)
        self._record(name, "enable", pb.EnablePluginResponse())

    def disable(self, name: str, users: Sequence[str], *, force: bool) -> None:
        """Let a plugin take no new volumes and mounts; it is still asked to unmount and to remove.

        Args:
            name: Of the plugin.
            users: Of its volumes, those that somebody has mounted.
            force: Also while there are some.

        Raises:
            PluginNotFound: There is none of this name.
            PluginInUse: Volumes of it are mounted.
        """
        self._known(name)
        if users and not force:
            raise PluginInUse(
                f"volumes of plugin {name} are mounted: {', '.join(users)}",
                what="plugin",
                which=name,
                do="stop the containers that use them, or use --force",
            )
        self._record(name, "disable", pb.DisablePluginResponse())

    def _record(self, name: str, action: str, response: Message) -> None:
        change = self._rows.enable if action == "enable" else self._rows.disable
        with self._store.transaction() as tx:
            change(tx, name)
            self._journal.append(tx, "plugin", name, action)
            remember(tx, response)
