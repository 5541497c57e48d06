"""An image service that serves its images as a registry."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from tests.support.distribution import Api
from tests.support.net import free_port
from tests.support.service import Service


class Serving(Service):
    """A service with a registry.

    Args:
        settings: Further keys of the configuration as SCOW_* variables.
        prefix: Put before its command, to run it in a network namespace.
        serve: Keys of `image.serve`.
    """

    def __init__(
        self,
        settings: dict[str, str] | None = None,
        /,
        *,
        prefix: Sequence[str] = (),
        **serve: str,
    ) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        who = "*" if "authentication" in serve else "anonymous"
        keys = {
            "address": self.address,
            "deletion": "true",
            "access": f"{who} * delete",
            **serve,
        }
        named = {f"SCOW_IMAGE_SERVE_{key.upper()}": value for key, value in keys.items()}
        super().__init__("image", settings={**named, **(settings or {})}, prefix=prefix)
        self.api = Api(self.address)
        # Address of its figures, where there is one.
        self.metrics = ""
        # Folder with the CA as clients want it, where there is one.
        self.certificates = self.base / "certificates" / self.address
        # The stub's methods are not typed.
        self.stub: Any = ImageServiceStub(self.channel)

    def pull(self, reference: str) -> pb.Image:
        """Let the service pull."""
        image: pb.Image = [*self.stub.Pull(pb.PullRequest(reference=reference))][-1].image
        return image

    def image(self, name: str) -> pb.Image:
        """Describe an image."""
        image: pb.Image = self.stub.Get(pb.GetRequest(image=name)).image
        return image

    def blobs(self) -> set[str]:
        """Return the digests of the files of blobs."""
        return {f"sha256:{path.name}" for path in (self.data / "blobs/sha256").iterdir()}

    def reconcile(self) -> None:
        """Let the service collect."""
        self.stub.Reconcile(pb.ReconcileRequest())


def write_htpasswd(path: Path, **users: str) -> str:
    """Write a file of users, as htpasswd(1) -B does; return its path."""
    lines = [
        f"{name}:{bcrypt.hashpw(word.encode()[:72], bcrypt.gensalt(4)).decode()}"
        for name, word in users.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


class Authority:
    """A CA of a test's own; certificates are for 127.0.0.1 and localhost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca of a test")])
        self._count = 0
        certificate = self._sign(self._name, self._key, authority=True)
        self.file = folder / "ca.crt"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        self._count += 1
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"server {self._count}")])
        files = (self._folder / f"{self._count}.crt", self._folder / f"{self._count}.key")
        signed = self._sign(name, key, authority=False)
        files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def context(self) -> ssl.SSLContext:
        """Return what a client trusts."""
        return ssl.create_default_context(cafile=self.file)


def run(*command: str, **environment: str) -> str:
    """Run a client; return what it printed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
