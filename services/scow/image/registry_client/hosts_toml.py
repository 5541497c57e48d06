"""containerd's `hosts.toml`: which hosts stand for a registry, in a folder for each registry.

::

    certs.d/registry.example.com:5000/hosts.toml     or registry.example.com_5000_, or _default for all others

    server = "https://registry.example.com:5000"     the registry itself, asked last
    [host."https://mirror.example.com"]              asked before, in the order of the file
    capabilities = ["pull", "resolve", "push"]
    ca = "mirror.pem"                                a file or a list; relative to the folder
    client = [["mirror.cert", "mirror.key"]]         a file with both, a list of such, or pairs
    skip_verify = false
    override_path = false                            the URL's path is that of the API: no /v2 is appended
    dial_timeout = "3s"                              for which it is tried to reach
    [host."https://mirror.example.com".header]
    x-site = "berlin"

Keys beside `server` are for the server. https://github.com/containerd/containerd/blob/main/docs/hosts.md
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from scow.contract.errors import InvalidConfig
from scow.image.oci.reference import host_of
from scow.image.registry_client.endpoints import ALL, Endpoint, Tls, parse_url

FILE = "hosts.toml"
DEFAULT = "_default"
_NAME_WITH_PORT = re.compile(r"^(.+)_([0-9]+)_$")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_KEYS = {"capabilities", "ca", "client", "skip_verify", "override_path", "header", "dial_timeout"}


def folders(root: Path, domain: str) -> list[Path]:
    """Return the folders that may speak of a registry, the first that is there counts."""
    name, colon, port = domain.rpartition(":")
    names = [f"{name}_{port}_", domain] if colon and port.isdigit() else [domain]
    return [root / each for each in names]


def domains(root: Path) -> list[str]:
    """Return the registries that have a file of their own, as references have them, `DEFAULT` among them."""
    found = {file.parent.name for file in root.glob(f"*/{FILE}")}
    return sorted(_NAME_WITH_PORT.sub(r"\1:\2", name) for name in found)


def read(root: Path, domain: str) -> tuple[list[Endpoint], Endpoint | None]:
    """Return the mirrors of a registry and, where the file tells it, the registry's own endpoint.

    Raises:
        InvalidConfig: The file cannot be read or has a key or value that it may not have.
    """
    for folder in [*folders(root, domain), root / DEFAULT]:
        file = folder / FILE
        if file.is_file():
            return _read(file, domain)
        if (
            folder.is_dir()
        ):  # certificates alone: the folder is the registry's, _default is not asked
            break
    return [], None


def _read(file: Path, domain: str) -> tuple[list[Endpoint], Endpoint | None]:
    try:
        values = tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(
            f"{file} cannot be read: {error}", what="file", which=str(file), do="mend the file"
        ) from error
    hosts = values.pop("host", {})
    server = values.pop("server", "")
    if not isinstance(hosts, dict) or not isinstance(server, str):
        _wrong(file, "host" if isinstance(server, str) else "server")
    mirrors = [_endpoint(url, about, file) for url, about in hosts.items()]
    if not server and not values:
        return mirrors, None
    return mirrors, _endpoint(server or host_of(domain), values, file)


def _endpoint(url: str, about: Any, file: Path) -> Endpoint:
    if not isinstance(about, dict):
        _wrong(file, url)
    for key in about.keys() - _KEYS:
        _wrong(file, key)
    endpoint = parse_url(url, str(file), override_path=_flag(about, "override_path", file))
    return replace(
        endpoint,
        may=_capabilities(about, file),
        tls=Tls(
            cas=tuple(_path(file, each) for each in _texts(about, "ca", file)),
            pairs=_pairs(about, file),
            verify=not _flag(about, "skip_verify", file),
        ),
        headers=_headers(about, file),
        connect_seconds=_seconds(about, file),
    )


def _seconds(about: Mapping[str, Any], file: Path) -> float:
    """Return the seconds of `dial_timeout` ("1m30s"), 0 for none."""
    value = about.get("dial_timeout", "0s")
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        _wrong(file, "dial_timeout")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def _capabilities(about: Mapping[str, Any], file: Path) -> frozenset[str]:
    found = frozenset(_texts(about, "capabilities", file))
    if not found <= ALL:
        _wrong(file, "capabilities")
    return found or ALL


def _flag(about: Mapping[str, Any], key: str, file: Path) -> bool:
    value = about.get(key, False)
    if not isinstance(value, bool):
        _wrong(file, key)
    return value


def _texts(about: Mapping[str, Any], key: str, file: Path) -> list[str]:
    """Return a text or a list of texts as a list."""
    value = about.get(key, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        _wrong(file, key)
    return value


def _pairs(about: Mapping[str, Any], file: Path) -> tuple[tuple[str, str], ...]:
    value = about.get("client", [])
    pairs = []
    for each in [value] if isinstance(value, str) else value:
        pair = [each, ""] if isinstance(each, str) else each
        if not isinstance(pair, list) or len(pair) != 2:
            _wrong(file, "client")
        certificate, key = pair
        if not isinstance(certificate, str) or not isinstance(key, str):
            _wrong(file, "client")
        # Without a key of its own the certificate's file has both.
        pairs.append((_path(file, certificate), _path(file, key or certificate)))
    return tuple(pairs)


def _headers(about: Mapping[str, Any], file: Path) -> tuple[tuple[str, str], ...]:
    value = about.get("header", {})
    if not isinstance(value, dict):
        _wrong(file, "header")
    return tuple((name, text) for name in value for text in _texts(value, name, file))


def _path(file: Path, name: str) -> str:
    return str(file.parent / name)


def _wrong(file: Path, key: str) -> NoReturn:
    raise InvalidConfig(
        f"{file} has an unknown key or a value of a wrong kind: {key}",
        what="file",
        which=str(file),
        do="see containerd's documentation of hosts.toml",
    )
