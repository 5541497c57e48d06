"""Network configurations (section 1 of the specification): lists of plugins in files of a folder."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scow.contract import strict_json
from scow.contract.errors import InvalidCniConfig, NetworkNotFound

# The newest one that a list may ask for is what its plugins are spoken to in.
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
_ENDINGS = (".conflist", ".conf", ".json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LARGEST = 1 << 20
_MOST_PLUGINS = 32


@dataclass(frozen=True)
class Configuration:
    """A network configuration list.

    Attributes:
        name: Of the network, to its plugins.
        version: Of the specification.
        plugins: Their configurations, in order.
        disable_check: The list asks for no CHECK.
        disable_gc: The list asks for no GC.
    """

    name: str
    version: str
    plugins: tuple[Mapping[str, Any], ...]
    disable_check: bool = False
    disable_gc: bool = False

    def programs(self) -> set[str]:
        """Return the plugins that it needs: those of the list, and those that these ask for addresses."""
        found = {str(plugin["type"]) for plugin in self.plugins}
        for plugin in self.plugins:
            ipam = plugin.get("ipam")
            if isinstance(ipam, dict) and isinstance(ipam.get("type"), str):
                found.add(ipam["type"])
        return found

    def has(self, version: str) -> bool:
        """Tell whether the list's version is at least one of the specification's."""
        return VERSIONS.index(self.version) >= VERSIONS.index(version)

    def to_json(self) -> dict[str, Any]:
        """Return what `parse` makes the same of."""
        return {
            "name": self.name,
            "cniVersion": self.version,
            "disableCheck": self.disable_check,
            "disableGC": self.disable_gc,
            "plugins": list(self.plugins),
        }


def load(name: str, folder: Path) -> Configuration:
    """Return the configuration of a name, or at an absolute path.

    Raises:
        NetworkNotFound: No file of the folder has it.
        InvalidCniConfig: The file is none, or cannot be read; or it may be one of those that cannot.
    """
    if name.startswith("/"):
        return parse(_read(Path(name)), name)
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)
    except OSError:
        files = []
    fault: InvalidCniConfig | None = None
    for path in files:
        try:
            document = _read(path)
        except InvalidCniConfig as error:  # of another network, unless none is found
            fault = fault or error
            continue
        if isinstance(document, dict) and document.get("name") == name:
            return parse(document, str(path))
    if fault is not None:
        raise fault
    raise NetworkNotFound(
        f"there is no CNI configuration {name} in {folder}",
        what="CNI configuration",
        which=name,
        do="put a .conflist there, or set network.cni_conf_dir",
    )


def all_of(folder: Path) -> list[Configuration]:
    """Return the configurations of a folder; files that are none are left out."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)
    except OSError:
        return []
    found = []
    for path in files:
        with contextlib.suppress(InvalidCniConfig):
            found.append(parse(_read(path), str(path)))
    return found


def _read(path: Path) -> Any:
    try:
        # Not waiting: whoever names a path may name a pipe.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("it is not a regular file")
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError("it is too large")
        return strict_json.loads(data)
    except (OSError, ValueError) as error:
        raise _invalid(str(path), str(error)) from error


def parse(document: Any, where: str) -> Configuration:
    """Return a configuration, of a list or of a single plugin.

    Raises:
        InvalidCniConfig: It is none.
    """
    if not isinstance(document, dict):
        raise _invalid(where, "it is not an object of JSON")
    name, version = document.get("name"), document.get("cniVersion", "0.2.0")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _invalid(where, f"invalid name {name!r}")
    plugins = document.get("plugins", [document])
    if not isinstance(plugins, list) or not 1 <= len(plugins) <= _MOST_PLUGINS:
        raise _invalid(where, "it has no plugins, or too many")
    return Configuration(
        name=name,
        version=_version(document, version, where),
        plugins=tuple(_plugin(plugin, where) for plugin in plugins),
        disable_check=document.get("disableCheck") is True,
        disable_gc=document.get("disableGC") is True,
    )


def _version(document: Mapping[str, Any], version: object, where: str) -> str:
    known: Sequence[object] = document.get("cniVersions") or [version]
    if not isinstance(known, list):
        raise _invalid(where, "cniVersions is not a list")
    usable = [each for each in VERSIONS if each in (*known, version)]
    if not usable:
        raise _invalid(where, f"of the versions {known} none is of {VERSIONS[0]} to {VERSIONS[-1]}")
    return usable[-1]


def _plugin(plugin: object, where: str) -> Mapping[str, Any]:
    kind = plugin.get("type") if isinstance(plugin, dict) else None
    if not isinstance(plugin, dict) or not isinstance(kind, str) or not TYPE.fullmatch(kind):
        raise _invalid(where, f"invalid type of a plugin {kind!r}")
    if not isinstance(plugin.get("capabilities", {}), dict):
        raise _invalid(where, f"capabilities of {kind} are not an object")
    return plugin


def _invalid(where: str, fault: str) -> InvalidCniConfig:
    return InvalidCniConfig(
        f"invalid CNI configuration {where}: {fault}",
        what="CNI configuration",
        which=where,
        do="mend the file: see the CNI specification, section 1",
    )
