"""Debian's docker-registry on loopback, with a folder of its own.

Example::

    with Registry() as registry:
        print(registry.address)
"""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.support import processes
from tests.support.net import free_port
from tests.support.tls import Identity


class Registry:
    """A running registry.

    Args:
        storage: Folder of its content; None means a fresh one, deleted in the end.
        prefix: Put before its command, to run it in a network namespace.
        users: Names and passwords, for basic authentication; None means everybody may do everything.
        auth: What its configuration says about authorization instead.
        identity: What it does TLS with.
        clients: File with the CA of those who may connect.
        port: Where it listens; 0 means that it finds one.
        mirrors: URL of a registry that it is a pull-through mirror of.
        deletion: It deletes what it is asked to delete.
    """

    def __init__(
        self,
        *,
        storage: Path | None = None,
        prefix: Sequence[str] = (),
        users: dict[str, str] | None = None,
        auth: dict[str, object] | None = None,
        identity: Identity | None = None,
        clients: Path | None = None,
        port: int = 0,
        mirrors: str = "",
        deletion: bool = True,
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="scow-registry-"))
        self.storage = storage or self.base / "storage"
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._prefix = prefix
        self._users = users
        self._auth = auth
        self._identity = identity
        self._clients = clients
        self._mirrors = mirrors
        self._deletion = deletion
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Registry:
        config = self.base / "config.json"
        config.write_text(json.dumps(self._config()))
        with (self.base / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._prefix, "docker-registry", "serve", config], stdout=log, stderr=log
            )
        processes.wait_for(self._listens, f"docker-registry on {self.address}")
        return self

    def _config(self) -> dict[str, object]:
        """Return its configuration; YAML understands JSON."""
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": self._deletion},
            },
            "http": {"addr": self.address, **self._tls()},
        }
        if self._mirrors:
            config["proxy"] = {"remoteurl": self._mirrors}
        if self._auth is not None:
            config["auth"] = self._auth
        if self._users is not None:
            file = self.base / "htpasswd"
            lines = [f"{name}:{_bcrypt(word)}\n" for name, word in self._users.items()]
            file.write_text("".join(lines))
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(file)}}
        return config

    def _tls(self) -> dict[str, object]:
        if self._identity is None:
            return {}
        tls: dict[str, object] = {
            "certificate": str(self._identity.certificate_file),
            "key": str(self._identity.key_file),
        }
        if self._clients is not None:
            tls["clientcas"] = [str(self._clients)]
        return {"tls": tls}

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.base / "log").read_text()
        port = f"{self.port:04X}"
        table = Path(f"/proc/{self._process.pid}/net/tcp").read_text()
        return any(line.split()[1].endswith(f":{port}") for line in table.splitlines()[1:])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.base)

    def stop(self) -> None:
        """End it; what it has stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None

    def digest(self, repository: str, tag: str) -> str:
        """Return the digest of a manifest, as the registry tells it."""
        request = urllib.request.Request(
            f"http://{self.address}/v2/{repository}/manifests/{tag}",
            method="HEAD",
            headers={
                "Accept": "application/vnd.oci.image.manifest.v1+json,"
                "application/vnd.docker.distribution.manifest.v2+json"
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as answer:
            return str(answer.headers["Docker-Content-Digest"])


def _bcrypt(word: str) -> str:
    """Hash a password as htpasswd(1) -B does; the module crypt is gone from Python 3.13."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = b"$2b$05$" + b"abcdefghijklmnopqrstuu"
    hashed: bytes = library.crypt(word.encode(), salt)
    return hashed.decode()
