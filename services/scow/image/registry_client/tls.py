"""TLS with registries: private CAs and client certificates, in Docker's layout of `certs.d`.

::

    certs.d/HOST[:PORT]/NAME.crt               a CA, beside those of the system
    certs.d/HOST[:PORT]/NAME.cert, NAME.key    a client certificate and its key

https://docs.docker.com/engine/security/certificates/
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from scow.contract.errors import InvalidConfig
from scow.image.registry_client.endpoints import Tls
from scow.image.registry_client.hosts_toml import folders

_Key = tuple[tuple[str, ...], tuple[tuple[str, str], ...], bool]
_Stamp = tuple[tuple[str, int], ...]


class Contexts:
    """Gives each host's context; one that is made is kept until a file that it is made of changes.

    Args:
        root: The folder certs.d.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[_Key, tuple[_Stamp, ssl.SSLContext]] = {}

    def get(self, host: str, tls: Tls, *, verify: bool) -> ssl.SSLContext:
        """Return how TLS is done with a host.

        Args:
            host: "HOST[:PORT]".
            tls: What its endpoint says.
            verify: False takes any certificate.

        Raises:
            InvalidConfig: A file is missing, or is none of its kind.
        """
        cas, pairs = self._files(host)
        cas, pairs = [*tls.cas, *cas], [*tls.pairs, *pairs]
        stamp = _stamp([*cas, *(name for pair in pairs for name in pair)])
        # Hosts without files share one: each holds all of the system's CAs.
        key = (tuple(cas), tuple(pairs), verify and tls.verify)
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            known = self._known[key] = (stamp, _context(*key))
        return known[1]

    def has_ca(self, host: str) -> bool:
        """Tell whether a CA is given for a host, which then is meant to be known by it."""
        folder = self._folder(host)
        return folder is not None and any(name.endswith(".crt") for name in os.listdir(folder))

    def _folder(self, host: str) -> Path | None:
        return next((each for each in folders(self._root, host) if each.is_dir()), None)

    def _files(self, host: str) -> tuple[list[str], list[tuple[str, str]]]:
        """Return the CAs and the pairs in a host's folder."""
        folder = self._folder(host)
        names = sorted(os.listdir(folder)) if folder else []
        at = {name: str((folder or self._root) / name) for name in names}
        pairs = []
        for name in names:
            stem, dot, kind = name.rpartition(".")
            other = {"cert": "key", "key": "cert"}.get(kind)
            if not dot or other is None:
                continue
            if f"{stem}.{other}" not in at:
                raise _half(at[name], f"{stem}.{other}")
            if kind == "cert":
                pairs.append((at[name], at[f"{stem}.key"]))
        return [at[name] for name in names if name.endswith(".crt")], pairs


def _stamp(files: list[str]) -> _Stamp:
    stamp = []
    for file in files:
        try:
            stamp.append((file, os.stat(file).st_mtime_ns))
        except OSError as error:
            raise _bad(file, error) from error
    return tuple(stamp)


def _context(
    cas: tuple[str, ...], pairs: tuple[tuple[str, str], ...], verify: bool
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for file in cas:
        try:
            context.load_verify_locations(file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise _bad(file, error) from error
    for certificate, key in pairs:
        try:
            # A key with a passphrase would ask for it on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise _bad(f"{certificate} or {key}" if key != certificate else key, error) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _half(file: str, other: str) -> InvalidConfig:
    return InvalidConfig(
        f"{file} has no {other} beside it",
        what="file",
        which=file,
        do="put certificate (.cert) and key (.key) side by side; a CA is a .crt",
    )


def _bad(file: str, error: Exception) -> InvalidConfig:
    return InvalidConfig(
        f"{file} cannot be used for TLS: {error}",
        what="file",
        which=file,
        do="give a PEM file of that kind that the service may read",
    )
