"""Devices that specifications of the host describe: the Container Device Interface, "vendor.com/class=name".

Sources: the CDI specification (cncf-tags/container-device-interface, SPEC.md), up to version 1.0. A specification is a
file of JSON or YAML. A directory that is named later overrides the same device in those before it; twice in one
directory is an error for whoever asks for the device.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.container.model.invalid import invalid
from scow.contract.errors import FailedPrecondition, NotFound, ScowError

DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))
_FILES_MAX = 1000
_BYTES_MAX = 4 << 20
_NAME = re.compile(
    r"[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?"
    r"(=([A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?|\*))?"
)
_VERSIONS = ("0.3.", "0.4.", "0.5.", "0.6.", "0.7.", "0.8.", "1.0.")
_MOMENTS = ("prestart", "createRuntime", "createContainer")
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}

Entry = dict[str, Any]


@dataclass(slots=True)
class Edits:
    """What devices add to a container, in the terms of config.json.

    Attributes:
        env: KEY=VALUE.
        nodes: `linux.devices`.
        rules: `linux.resources.devices`.
        mounts: `mounts`.
        gids: `process.user.additionalGids`.
        hooks: `hooks`.
    """

    env: list[str] = field(default_factory=list)
    nodes: list[Entry] = field(default_factory=list)
    rules: list[Entry] = field(default_factory=list)
    mounts: list[Entry] = field(default_factory=list)
    gids: list[int] = field(default_factory=list)
    hooks: dict[str, list[Entry]] = field(default_factory=dict)


def edits(names: Iterable[str], directories: Iterable[Path] = DIRECTORIES) -> Edits:
    """Return what devices add to a container.

    Args:
        names: "vendor.com/class=name" each; "vendor.com/class=*" is all of a class, "vendor.com/class" its first.
        directories: Where specifications are, the most important last.

    Raises:
        InvalidConfig: A name has another form.
        NotFound: No specification describes a device, or the host has not what it names.
        FailedPrecondition: A specification cannot be used.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise invalid("cdi_devices", f"has {name!r}", 'name it like "vendor.com/class=name"')
    found = Edits()
    if not wanted:
        return found
    broken: list[ScowError] = []
    kinds = frozenset(name.partition("=")[0] for name in wanted)
    described = _devices(directories, kinds, broken)
    wanted = list(dict.fromkeys(each for name in wanted for each in _expanded(name, described)))
    missing = [name for name in wanted if name not in described]
    if missing:
        why = "".join(f"; {error.message}" for error in broken[:3])
        raise NotFound(
            f"unresolvable CDI devices {', '.join(missing)}{why}",
            what="device",
            which=missing[0],
            do="see /etc/cdi and /var/run/cdi for what this host describes",
        )
    applied: set[Path] = set()
    for name in wanted:
        device = described[name]
        if isinstance(device, ScowError):
            raise device
        if device.file not in applied:
            applied.add(device.file)
            _apply(device.file, device.shared, found)
        _apply(device.file, device.own, found)
    return found


def _expanded(name: str, described: Iterable[str]) -> list[str]:
    """Return the devices that a name means; itself where there are none."""
    kind, equals, device = name.partition("=")
    if equals and device != "*":
        return [name]
    found = sorted(each for each in described if each.startswith(f"{kind}="))
    return (found if equals else found[:1]) or [name]


@dataclass(frozen=True, slots=True)
class _Device:
    file: Path
    shared: Mapping[str, Any]
    own: Mapping[str, Any]


def _devices(
    directories: Iterable[Path], kinds: frozenset[str], broken: list[ScowError]
) -> dict[str, _Device | ScowError]:
    """Return the devices of some kinds by their whole names; an error where there are two of a name.

    Files that cannot be read are added to `broken`: they may have been about others.
    """
    every: dict[str, _Device | ScowError] = {}
    for directory in directories:
        here: dict[str, _Device | ScowError] = {}
        for path in _files(directory):
            try:
                devices = list(_of_file(path, kinds))
            except ScowError as error:
                broken.append(error)
                continue
            for name, device in devices:
                here[name] = (
                    _unusable(path, f"{name} is in another file of {directory} too")
                    if name in here
                    else device
                )
        every.update(here)
    return every


def _files(directory: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(directory, error.strerror or str(error)) from error
    return [directory / name for name in names if name.endswith((".json", ".yaml", ".yml"))][
        :_FILES_MAX
    ]


def _of_file(path: Path, kinds: frozenset[str]) -> Iterator[tuple[str, _Device | ScowError]]:
    """Yield the devices of a file, or raise what is wrong with it."""
    try:
        spec = _read(path)
        kind = str(spec["kind"])
        if kind not in kinds:
            return
        if not str(spec.get("cdiVersion", "")).startswith(_VERSIONS):
            raise ValueError(f"its version {spec.get('cdiVersion')!r} is not supported")
        shared = spec.get("containerEdits") or {}
        for device in spec.get("devices") or ():
            own = device.get("containerEdits") or {}
            yield f"{kind}={device['name']}", _Device(path, shared, own)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(path, f"it cannot be read ({error})") from error


def _read(path: Path) -> Mapping[str, Any]:
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        raw = file.read(_BYTES_MAX + 1)
    if len(raw) > _BYTES_MAX:
        raise ValueError("it is too long")
    if path.suffix == ".json":
        spec = json.loads(raw)
    else:
        import yaml

        try:
            spec = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    if not isinstance(spec, dict):
        raise ValueError("it is no object")
    return spec


def _apply(path: Path, edit: Mapping[str, Any], found: Edits) -> None:
    try:
        for hook in edit.get("hooks") or ():
            moment = str(hook["hookName"])
            if moment not in _MOMENTS:
                raise _unusable(path, f"hooks of {moment} are not run by this engine")
            found.hooks.setdefault(moment, []).append(_hook(hook))
        found.env += [str(text) for text in edit.get("env") or ()]
        found.gids += [int(gid) for gid in edit.get("additionalGids") or () if gid]
        found.mounts += [_mount(mount) for mount in edit.get("mounts") or ()]
        for described in edit.get("deviceNodes") or ():
            node = _node(described)
            found.nodes.append(node)
            if node["type"] != "p":
                access = str(described.get("permissions") or "rwm")
                found.rules.append(
                    {
                        "allow": True,
                        "type": "c" if node["type"] == "u" else node["type"],
                        "major": node["major"],
                        "minor": node["minor"],
                        "access": access,
                    }
                )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(path, f"it cannot be read ({error!r})") from error


def _hook(hook: Mapping[str, Any]) -> Entry:
    if not str(hook["path"]).startswith("/"):
        raise ValueError(f"the path of a hook is {hook['path']!r}")
    return {
        "path": str(hook["path"]),
        "args": [str(text) for text in hook.get("args") or ()],
        "env": [str(text) for text in hook.get("env") or ()],
        "timeout": int(hook.get("timeout") or 0),
    }


def _mount(mount: Mapping[str, Any]) -> Entry:
    kind = str(mount.get("type") or "bind")
    options = [str(option) for option in mount.get("options") or ()]
    if kind in ("bind", "none"):
        kind = "bind"
        options = options if {"bind", "rbind"} & set(options) else ["rbind", *options]
    return {
        "destination": str(mount["containerPath"]),
        "source": str(mount["hostPath"]),
        "type": kind,
        "options": options,
    }


def _node(described: Mapping[str, Any]) -> Entry:
    path = str(described["path"])
    host = str(described.get("hostPath") or path)
    kind, major, minor = described.get("type"), described.get("major"), described.get("minor")
    if not kind or (major is None and kind != "p"):
        kind, major, minor = _of_host(host)
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is no type of a device")
    mode = described.get("fileMode")
    return {
        "path": path,
        "type": kind,
        "major": int(major or 0),
        "minor": int(minor or 0),
        "fileMode": 0o666 if mode is None else int(mode) & 0o777,
        "uid": int(described.get("uid") or 0),
        "gid": int(described.get("gid") or 0),
    }


def _of_host(path: str) -> tuple[str, int, int]:
    try:
        info = os.stat(path)
    except OSError as error:
        raise NotFound(
            f"the host has no device {path}: {error.strerror}", what="device", which=path
        ) from error
    for kind in ("c", "b", "p"):
        if stat.S_IFMT(info.st_mode) == _KINDS[kind]:
            return kind, os.major(info.st_rdev), os.minor(info.st_rdev)
    raise NotFound(f"{path} is not a device of this host", what="device", which=path)


def _unusable(path: Path, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"the CDI specification {path} cannot be used: {why}",
        what="CDI specification",
        which=str(path),
        do="correct it, or leave the device out",
    )
