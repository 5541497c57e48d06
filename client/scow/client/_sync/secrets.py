"""Secrets, as a client sees them."""

from __future__ import annotations

from collections.abc import Mapping

from scow.api.container.v1 import secret_pb2 as pb
from scow.client._link import request_id
from scow.client._sync.service import Service

_Secrets = list[pb.Secret]


class Secrets:
    """Small pieces of data that containers get as files, and that nothing else shows. They are kept encrypted.

    Example::

        client.secrets.create("token", b"s3cr3t")
        client.containers.create("busybox", ["cat", "/run/secrets/token"], secrets=["token"])
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def create(
        self,
        name: str,
        data: bytes,
        *,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> pb.Secret:
        """Keep a secret.

        Args:
            name: Up to 64 letters, digits, "-", "_" and ".".
            data: What is in it: 1 byte to 500 KiB. It is never told again but to containers.
            labels: Free keys and values.
            timeout: Seconds.

        Raises:
            InvalidName, InvalidConfig: A name or data that cannot be.
            NameInUse: There is one with this name.

        Example::

            secret = client.secrets.create("token", b"s3cr3t")
        """
        request = pb.CreateSecretRequest(
            request_id=request_id(), name=name, data=data, labels=labels
        )
        response = self._service.call(
            "SecretService/CreateSecret", request, pb.CreateSecretResponse, timeout
        )
        return response.secret

    def get(self, secret: str, *, timeout: float | None = None) -> pb.Secret:
        """Describe a secret, without what is in it.

        Args:
            secret: Its name, its id, or the beginning of that.
            timeout: Seconds.

        Raises:
            SecretNotFound: There is none.

        Example::

            print((client.secrets.get("token")).created_at.ToJsonString())
        """
        request = pb.GetSecretRequest(secret=secret)
        response = self._service.call(
            "SecretService/GetSecret", request, pb.GetSecretResponse, timeout
        )
        return response.secret

    def list(self, *, timeout: float | None = None) -> _Secrets:
        """Describe all secrets, by name.

        Args:
            timeout: Seconds.

        Example::

            for secret in client.secrets.list():
                print(secret.name)
        """
        secrets: _Secrets = []
        request = pb.ListSecretsRequest()
        while True:
            response = self._service.call(
                "SecretService/ListSecrets", request, pb.ListSecretsResponse, timeout
            )
            secrets.extend(response.secrets)
            if not response.next_page_token:
                return secrets
            request.page_token = response.next_page_token

    def remove(self, secret: str, *, timeout: float | None = None) -> None:
        """Forget a secret.

        Args:
            secret: Its name, its id, or the beginning of that.
            timeout: Seconds.

        Raises:
            SecretNotFound: There is none.
            SecretInUse: A container has it.

        Example::

            client.secrets.remove("token")
        """
        request = pb.RemoveSecretRequest(request_id=request_id(), secret=secret)
        self._service.call("SecretService/RemoveSecret", request, pb.RemoveSecretResponse, timeout)
