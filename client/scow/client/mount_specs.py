"""The forms in which people write mounts, `-v`, `--mount` and `--tmpfs`, as Docker defines them and in its words.

Each function returns the fields of a MountSpec as plain data, and raises ValueError with a sentence that says what is
wrong. What takes the engine to know is left to it. Nothing is imported: see `specs`.
"""

from __future__ import annotations

from scow.words.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Fields = dict[str, Any]

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
# One word of each kind. Those for SELinux and for other systems are accepted, without effect.
_MODES = (
    ("ro", "rw"),
    _PROPAGATIONS,
    ("nocopy",),
    ("z", "Z"),
    ("cached", "consistent", "delegated"),
)
# Keys of `--mount` that mean true without a value.
_FLAGS = (
    "readonly",
    "ro",
    "volume-nocopy",
    "bind-nonrecursive",
    "bind-create-src",
    "exclusive",
)
_RECURSIONS = ("enabled", "disabled", "writable", "readonly")
# What a type takes of the keys that begin with another one's name.
_PREFIXES = {
    "bind": ("bind",),
    "volume": ("volume",),
    "tmpfs": ("tmpfs",),
    "image": ("image",),
    "overlay": ("bind", "tmpfs"),
}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def parse_volume(text: str) -> Fields:
    """Return the mount of `-v`: [source:]target[:mode,...].

    Raises:
        ValueError: No such form.
    """
    if not text:
        raise ValueError("invalid empty volume spec")
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {text}: too many colons")
    if not all(parts):
        raise ValueError(f"invalid spec: {text}: empty section between colons")
    if len(parts) == 1:
        return {"type": "volume", "source": "", "target": _target(text, "volume", text)}
    is_path = parts[0].startswith(("/", ".", "~"))
    kind = "bind" if is_path else "volume"
    mount: Fields = {
        "type": kind,
        "source": parts[0],
        "target": _target(parts[1], kind, text),
    }
    if is_path:
        mount["source"] = _absolute_source(parts[0])
        mount["create_source"] = True
    if len(parts) == 3:
        _apply_modes(mount, parts[2], text)
    return mount


def _absolute_source(text: str) -> str:
    import os

    return os.path.abspath(os.path.expanduser(text))


def _target(target: str, kind: str, text: str) -> str:
    """Refuse a target that nothing can be mounted on."""
    fault = _fault(target)
    if fault:
        where = f"invalid volume specification: '{text}': " if text else ""
        raise ValueError(f'{where}invalid mount config for type "{kind}": {fault}')
    return target


def _fault(target: str) -> str:
    if not target.startswith("/"):
        return f"invalid mount path: '{target}' mount path must be absolute"
    if not [part for part in target.split("/") if part not in ("", ".", "..")]:
        return "invalid specification: destination can't be '/'"
    return ""


def _apply_modes(mount: Fields, modes: str, text: str) -> None:
    words = modes.split(",")
    for kind in _MODES:
        found = [word for word in words if word in kind]
        if len(found) > 1:
            raise ValueError(f"invalid mode: {modes}")
        words = [word for word in words if word not in kind]
        if found:
            _apply_mode(mount, found[0], text)
    if words:
        raise ValueError(f"invalid mode: {modes}")


def _apply_mode(mount: Fields, mode: str, text: str) -> None:
    kind = mount["type"]
    of_other = {"bind": ("nocopy",), "volume": _PROPAGATIONS}[kind]
    if mode in of_other:
        field = "VolumeOptions" if kind == "bind" else "BindOptions"
        raise ValueError(
            f"invalid volume specification: '{text}': invalid mount config for type"
            f' "{kind}": field {field} must not be specified'
        )
    if mode in ("ro", "rw"):
        mount["read_only"] = mode == "ro"
    elif mode == "nocopy":
        mount["no_copy"] = True
    elif mode in _PROPAGATIONS:
        mount["propagation"] = mode


def parse_volumes_from(text: str) -> str:
    """Return the text of `--volumes-from`, NAME[:mode], as it is.

    Raises:
        ValueError: No such form.
    """
    name, _, mode = text.partition(":")
    if not name:
        raise ValueError('invalid name or ID supplied: ""')
    words = [word for word in mode.split(",") if mode]
    kinds = [[word for word in words if word in kind] for kind in (("ro", "rw"), ("z", "Z"))]
    if any(len(found) > 1 for found in kinds) or sum(map(len, kinds)) < len(words):
        raise ValueError(f"invalid mode: {mode}")
    return text


def parse_tmpfs(text: str) -> Fields:
    """Return the mount of `--tmpfs`: target[:option,...] with the options of mount(8).

    Raises:
        ValueError: No such form.
    """
    target, _, options = text.partition(":")
    fault = _fault(target)
    if fault:
        raise ValueError(fault)
    mount: Fields = {"type": "tmpfs", "target": target}
    others: list[str] = []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size" and not value.endswith("%"):
            mount["tmpfs_size"] = parse_size(value)
        elif key == "mode":
            mount["tmpfs_mode"] = _mode(value)
        elif key == "ro":
            mount["read_only"] = True
        elif key != "rw":
            others.append(option)
    if others:
        mount["tmpfs_options"] = others
    return mount


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"invalid value for tmpfs-mode: {text}")
    return mode


def parse_mount(text: str) -> Fields:
    """Return the mount of `--mount`: key=value,... as one record of CSV.

    Raises:
        ValueError: An unknown key, a wrong value, or keys that contradict the type.
    """
    mount: Fields = {"type": "volume", "source": "", "target": ""}
    seen: list[str] = []
    for field in _record(text):
        key, has_value, value = field.partition("=")
        key = key.lower()
        if not has_value and key not in _FLAGS:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        setter = _KEYS.get(key)
        if setter is None:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
        setter(mount, key, value if has_value else "true")
        seen.append(key)
    _check_mount(mount, seen)
    return mount


def _record(text: str) -> list[str]:
    import csv

    try:
        record = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"parse error: {error}") from None
    if not record:
        raise ValueError("target is required")
    return record


def _type(mount: Fields, key: str, value: str) -> None:
    mount["type"] = value.lower()


def _source(mount: Fields, key: str, value: str) -> None:
    if value in (".", "..") or value.startswith(("./", "../", "~/")):
        value = _absolute_source(value)
    mount["source"] = value


def _text(field: str) -> Callable[[Fields, str, str], None]:
    def set_(mount: Fields, key: str, value: str) -> None:
        mount[field] = value

    return set_


def _flag(field: str) -> Callable[[Fields, str, str], None]:
    def set_(mount: Fields, key: str, value: str) -> None:
        mount[field] = _boolean(key, value)

    return set_


def _pair(field: str) -> Callable[[Fields, str, str], None]:
    def set_(mount: Fields, key: str, value: str) -> None:
        name, _, rest = value.partition("=")
        mount.setdefault(field, {})[name] = rest

    return set_


def _propagation(mount: Fields, key: str, value: str) -> None:
    if value not in _PROPAGATIONS:
        raise ValueError(f"invalid propagation mode: {value}")
    mount["propagation"] = value


def _recursion(mount: Fields, key: str, value: str) -> None:
    if value not in _RECURSIONS:
        raise ValueError(
            f"invalid value for bind-recursive: {value} (must be"
            ' "enabled", "disabled", "writable", or "readonly")'
        )
    mount["recursion"] = "" if value == "enabled" else value


def _not_recursive(mount: Fields, key: str, value: str) -> None:
    mount["recursion"] = "disabled" if _boolean(key, value) else ""


def _tmpfs_size(mount: Fields, key: str, value: str) -> None:
    try:
        mount["tmpfs_size"] = parse_size(value)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from None


def _tmpfs_mode(mount: Fields, key: str, value: str) -> None:
    mount["tmpfs_mode"] = _mode(value)


def _ignore(mount: Fields, key: str, value: str) -> None:
    """Accept what has no effect here."""


_KEYS = {
    "type": _type,
    "source": _source,
    "src": _source,
    "target": _text("target"),
    "destination": _text("target"),
    "dst": _text("target"),
    "readonly": _flag("read_only"),
    "ro": _flag("read_only"),
    "consistency": _ignore,
    "exclusive": _flag("exclusive"),
    "bind-propagation": _propagation,
    "bind-nonrecursive": _not_recursive,
    "bind-recursive": _recursion,
    "bind-create-src": _flag("create_source"),
    "volume-nocopy": _flag("no_copy"),
    "volume-driver": _text("volume_driver"),
    "volume-label": _pair("volume_labels"),
    "volume-opt": _pair("volume_options"),
    "volume-subpath": _text("subpath"),
    "image-subpath": _text("subpath"),
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}


def _boolean(key: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(f"invalid value for {key}: {value}")


def _check_mount(mount: Fields, seen: Sequence[str]) -> None:
    kind = mount["type"]
    if not mount["target"]:
        raise ValueError("target is required")
    for key in seen:
        prefix, dash, _ = key.partition("-")
        if dash and prefix not in _PREFIXES.get(kind, (prefix,)):
            raise ValueError(f"cannot mix '{prefix}-*' options with mount type '{kind}'")
    if mount.get("recursion") == "readonly":
        if not mount.get("read_only"):
            raise ValueError(
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction"
            )
        if mount.get("propagation") != "rprivate":
            raise ValueError(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be"
                " specified in conjunction"
            )
