"""Which plugins there are, which configurations use them, and which are disabled."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from scow.api.network.v1 import cni_plugin_pb2 as pb
from scow.contract.errors import CniFailed, PluginDisabled, PluginInUse, PluginNotFound
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.store import Store
from scow.network.cni import configuration
from scow.network.cni.chain import Chain
from scow.network.cni.configuration import Configuration
from scow.network.cni.plugin import Plugins

_ASKED_IN = b'{"cniVersion": "1.0.0"}'
_VERSIONS_MOST = 100


class Disabled:
    """The plugins that are to attach no more containers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> set[str]:
        """Return their names."""
        return {row["name"] for row in self._store.all("SELECT name FROM disabled_cni_plugins")}

    def check(self, config: Configuration) -> None:
        """Refuse a configuration that needs one.

        Raises:
            PluginDisabled: It does.
        """
        for name in sorted(config.programs() & self.names()):
            raise PluginDisabled(
                f"the network {config.name} needs the CNI plugin {name}, which is disabled",
                what="CNI plugin",
                which=name,
                do=f"use 'scow plugin enable cni/{name}'",
            )


class Catalogue:
    """Shows and governs plugins.

    Args:
        store: The service's database.
        journal: Where changes are told.
        plugins: Executes them.
        chain: Knows who is attached.
        configurations: Folder of configurations.
    """

    def __init__(
        self, store: Store, journal: Journal, plugins: Plugins, chain: Chain, configurations: Path
    ) -> None:
        self._store = store
        self._journal = journal
        self._plugins = plugins
        self._chain = chain
        self._configurations = configurations
        self._disabled = Disabled(store)

    async def select(self) -> list[pb.CniPlugin]:
        """Describe all plugins, by name."""
        return await asyncio.to_thread(self._described, None, self._disabled.names())

    async def get(self, name: str) -> pb.CniPlugin:
        """Describe one plugin.

        Raises:
            PluginNotFound: There is none of this name.
        """
        (found,) = await asyncio.to_thread(self._described, name, self._disabled.names())
        try:
            answer = await self._plugins.call("VERSION", name, None, _ASKED_IN)
        except CniFailed as error:
            found.fault = error.message
            return found
        versions = answer.get("supportedVersions")
        if isinstance(versions, list):
            found.versions.extend(str(each)[:100] for each in versions[:_VERSIONS_MOST])
        else:
            found.fault = f"plugin {name} does not say which versions it speaks"
        return found

    def _described(self, wanted: str | None, disabled: set[str]) -> list[pb.CniPlugin]:
        paths = self._plugins.all()
        if wanted is not None:
            _check_known(wanted, paths)
            paths = {wanted: paths[wanted]}
        users = defaultdict(list)
        for config in configuration.all_of(self._configurations):
            for name in config.programs():
                users[name].append(config.name)
        return [
            pb.CniPlugin(
                name=name,
                path=os.fspath(path),
                enabled=name not in disabled,
                networks=sorted(users[name]),
            )
            for name, path in sorted(paths.items())
        ]

    async def enable(self, name: str) -> None:
        """Let a plugin be used again.

        Raises:
            PluginNotFound: There is none of this name.
        """
        if name not in self._disabled.names():  # one that is gone meanwhile may be enabled
            _check_known(name, await asyncio.to_thread(self._plugins.all))
        self._record(name, "enable", "DELETE FROM disabled_cni_plugins WHERE name = ?")

    async def disable(self, name: str, *, force: bool) -> None:
        """Let a plugin attach no more containers.

        Raises:
            PluginNotFound: There is none of this name.
            PluginInUse: Somebody is attached by it, and not `force`.
        """
        _check_known(name, await asyncio.to_thread(self._plugins.all))
        users = await asyncio.to_thread(self._chain.attached_by, name)
        if users and not force:
            raise PluginInUse(
                f"containers are attached by the CNI plugin {name}: {', '.join(users)}",
                what="CNI plugin",
                which=name,
                do="stop these containers, or use --force",
            )
        self._record(name, "disable", "INSERT OR IGNORE INTO disabled_cni_plugins VALUES (?)")

    def _record(self, name: str, action: str, statement: str) -> None:
        with self._store.transaction() as tx:
            tx.execute(statement, (name,))
            self._journal.append(tx, "plugin", f"cni/{name}", action)
            remember(tx)


def _check_known(name: str, known: Collection[str]) -> None:
    if name not in known:
        raise PluginNotFound(
            f"there is no CNI plugin {name}",
            what="CNI plugin",
            which=name,
            do="see 'scow plugin ls'",
        )
