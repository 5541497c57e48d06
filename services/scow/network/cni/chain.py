"""Lists of plugins executed in order (section 3 of the specification), with results that are kept.

What an attachment was made with is written down before its first plugin is executed, and its result afterwards: DEL
gets the same configuration and that result, also when the files have changed or this process was killed meanwhile.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from scow.contract.errors import CniFailed, InvalidCniConfig
from scow.core.disk import writing
from scow.network.cni import configuration
from scow.network.cni.configuration import Configuration
from scow.network.cni.plugin import Attachment, Plugins
from scow.network.cni.turns import Turns
from scow.network.ipam.addresses import Interface

_CHECK_SINCE, _GC_SINCE = "0.4.0", "1.1.0"


@dataclass(frozen=True)
class Result:
    """What the last plugin of an ADD answered.

    Attributes:
        raw: All of it.
        addresses: Of the container.
        mac: Of the container's link, as far as it is said.
    """

    raw: Mapping[str, Any] = field(default_factory=dict)
    addresses: tuple[Interface, ...] = ()
    mac: str = ""


@dataclass(frozen=True)
class Kept:
    """What is written down of an attachment."""

    configuration: Configuration
    attachment: Attachment
    result: Result


class Chain:
    """Executes lists of plugins.

    Args:
        plugins: That they are made of.
        folder: Where attachments are written down.
        check: Called with a configuration before somebody is attached by it; raises where that is not to be.
    """

    def __init__(
        self, plugins: Plugins, folder: Path, check: Callable[[Configuration], None]
    ) -> None:
        self._check = check
        self._plugins = plugins
        self._folder = folder
        self._by_name: WeakValueDictionary[str, Turns] = WeakValueDictionary()

    async def add(self, key: str, config: Configuration, attachment: Attachment) -> Result:
        """Attach a container.

        Args:
            key: Under which the attachment is kept; a file's name.
            config: The network.
            attachment: The container.

        Raises:
            CniFailed: A plugin fails; what the ones before it made was taken away.
            PluginDisabled: A plugin is to attach nobody.
        """
        self._check(config)
        async with self._turns(config.name).shared():
            return await self._add(key, config, attachment)

    async def _add(self, key: str, config: Configuration, attachment: Attachment) -> Result:
        self._keep(key, Kept(config, attachment, Result()))
        answer: dict[str, Any] = {}
        try:
            for plugin in config.plugins:
                given = _input(config, plugin, attachment, answer)
                answer = await self._plugins.call("ADD", plugin["type"], attachment, given)
            result = parse_result(answer, attachment)
        except BaseException:
            await self._take_away(key, config, attachment, answer)
            raise
        self._keep(key, Kept(config, attachment, result))
        return result

    async def _take_away(
        self, key: str, config: Configuration, attachment: Attachment, answer: Mapping[str, Any]
    ) -> None:
        try:
            await self._delete(config, attachment, answer)
        except CniFailed:
            return  # what is kept is deleted later
        self._forget(key)

    async def delete(self, key: str, attachment: Attachment | None = None) -> None:
        """Detach a container that was attached under a key; nothing happens when none was.

        Args:
            key: The key.
            attachment: What it is now, where the namespace has gone.

        Raises:
            CniFailed: A plugin fails; it can be done again.
        """
        kept = self.kept(key)
        if kept is not None:
            config = kept.configuration
            async with self._turns(config.name).shared():
                await self._delete(config, attachment or kept.attachment, kept.result.raw)
                self._forget(key)

    async def _delete(
        self, config: Configuration, attachment: Attachment, answer: Mapping[str, Any]
    ) -> None:
        for plugin in reversed(config.plugins):
            given = _input(config, plugin, attachment, answer if config.has(_CHECK_SINCE) else {})
            await self._plugins.call("DEL", plugin["type"], attachment, given)

    async def check(self, key: str) -> None:
        """Have plugins compare an attachment with what they made; before 0.4.0 there is nothing to ask.

        Raises:
            CniFailed: Something is not as it was, or nothing was attached under the key.
        """
        kept = self.kept(key)
        if kept is None:
            raise CniFailed("nothing is attached", what="CNI attachment", which=key)
        config = kept.configuration
        if not config.has(_CHECK_SINCE) or config.disable_check:
            return
        async with self._turns(config.name).shared():
            for plugin in config.plugins:
                given = _input(config, plugin, kept.attachment, kept.result.raw)
                await self._plugins.call("CHECK", plugin["type"], kept.attachment, given)

    async def status(self, config: Configuration) -> None:
        """Have plugins say whether they can attach containers; before 1.1.0 it is seen whether they are there.

        Raises:
            CniFailed: One cannot, or is missing.
            PluginDisabled: One is to attach nobody.
        """
        self._check(config)
        for plugin in config.plugins:
            if config.has(_GC_SINCE):
                given = _input(config, plugin, None, {})
                await self._plugins.call("STATUS", plugin["type"], None, given)
            else:
                self._plugins.find(plugin["type"])

    async def collect(self, config: Configuration) -> None:
        """Have plugins give back what nothing has that is attached; before 1.1.0 there is nothing to ask.

        Nothing is attached or detached meanwhile: what a plugin has just given out would be taken back.

        Raises:
            CniFailed: One fails; it can be done again.
        """
        if not config.has(_GC_SINCE) or config.disable_gc:
            return
        async with self._turns(config.name).alone():
            known = self._known(config.name)
            more = {"cni.dev/valid-attachments": known, "cni.dev/attachments": known}
            for plugin in config.plugins:
                given = _input(config, {**plugin, **more}, None, {})
                await self._plugins.call("GC", plugin["type"], None, given)

    def is_busy(self, name: str) -> bool:
        """Tell whether something is being attached to a network, or detached."""
        return self._turns(name).is_busy

    def _known(self, name: str) -> list[dict[str, str]]:
        kept = [each for each in map(self.kept, self.attachments()) if each is not None]
        return [
            {"containerID": each.attachment.container_id, "ifname": each.attachment.interface}
            for each in kept
            if each.configuration.name == name
        ]

    def attached_by(self, program: str) -> list[str]:
        """Return who is attached by a plugin: the ids of containers."""
        kept = [each for each in map(self.kept, self.attachments()) if each is not None]
        users = {
            each.attachment.container_id
            for each in kept
            if program in each.configuration.programs()
        }
        return sorted(users)

    def _turns(self, name: str) -> Turns:
        """Return the turns of a network. One that nobody waits for is forgotten: names are the callers'."""
        turns = self._by_name.get(name)
        if turns is None:
            turns = self._by_name[name] = Turns()
        return turns

    def kept(self, key: str) -> Kept | None:
        """Return what is written down under a key, or None."""
        try:
            document = json.loads(self._path(key).read_bytes())
            config = configuration.parse(document["configuration"], key)
            attachment = Attachment(**document["attachment"])
            return Kept(config, attachment, parse_result(document["result"], attachment))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, InvalidCniConfig):
            return None  # written by nobody of us: a file is written whole or not at all

    def attachments(self) -> list[str]:
        """Return the keys of all attachments that are written down."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def _keep(self, key: str, kept: Kept) -> None:
        document = {
            "configuration": kept.configuration.to_json(),
            "attachment": vars(kept.attachment),
            "result": kept.result.raw,
        }
        path = self._path(key)
        with writing(self._folder.parent):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            with new.open("w") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            new.rename(path)

    def _forget(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _input(
    config: Configuration,
    plugin: Mapping[str, Any],
    attachment: Attachment | None,
    answer: Mapping[str, Any],
) -> bytes:
    """Return a plugin's input (section 3, "Deriving execution configuration from plugin configuration")."""
    given = {**plugin, "name": config.name, "cniVersion": config.version}
    declared = plugin.get("capabilities", {})
    given.pop("capabilities", None)
    wanted = attachment.capabilities if attachment is not None else {}
    runtime = {key: value for key, value in wanted.items() if declared.get(key) is True}
    if runtime:
        given["runtimeConfig"] = runtime
    if answer:
        given["prevResult"] = answer
    return json.dumps(given).encode()


def parse_result(answer: Mapping[str, Any], attachment: Attachment) -> Result:
    """Return a result (section 5, "Success").

    Raises:
        CniFailed: It has no form that a result can have.
    """
    try:
        interfaces = answer.get("interfaces") or []
        own = [i for i, each in enumerate(interfaces) if each.get("sandbox")]
        addresses = [
            ipaddress.ip_interface(each["address"])
            for each in answer.get("ips") or []
            if not own or each.get("interface", own[0]) in own
        ]
        macs = [
            each.get("mac", "")
            for each in interfaces
            if each.get("sandbox") and each.get("name") == attachment.interface
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CniFailed(
            f"a plugin's result cannot be read: {error}",
            what="CNI result",
            which=attachment.container_id,
            do="see the CNI specification, section 5",
        ) from error
    return Result(
        raw=answer,
        addresses=tuple(sorted(addresses, key=lambda address: address.version)),
        mac=str(macs[0]) if macs else "",
    )
