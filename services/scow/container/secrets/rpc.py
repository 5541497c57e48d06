"""The servicer of secrets: a wire shell around what keeps them."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.container.v1 import secret_pb2 as pb
from scow.api.container.v1 import secret_pb2_grpc as pb_grpc
from scow.container.secrets.secrets import Secrets
from scow.core.paging import message_size, page
from scow.core.requests import Requests

Context = grpc.aio.ServicerContext[Any, Any]


class SecretServicer(pb_grpc.SecretServiceServicer):
    """Serves scow.api.container.v1.SecretService."""

    def __init__(self, secrets: Secrets, requests: Requests) -> None:
        self._secrets = secrets
        self._requests = requests

    async def CreateSecret(
        self, request: pb.CreateSecretRequest, context: Context
    ) -> pb.CreateSecretResponse:
        """Keep a secret."""

        async def create() -> pb.Secret:
            return self._secrets.create(request)

        return await self._requests.once(
            "CreateSecret",
            self._secrets.mark(request) if request.request_id else request,
            pb.CreateSecretResponse,
            create,
            lambda secret: pb.CreateSecretResponse(secret=secret),
        )

    async def GetSecret(
        self, request: pb.GetSecretRequest, context: Context
    ) -> pb.GetSecretResponse:
        """Describe one."""
        return pb.GetSecretResponse(secret=self._secrets.find(request.secret))

    async def ListSecrets(
        self, request: pb.ListSecretsRequest, context: Context
    ) -> pb.ListSecretsResponse:
        """Describe all."""
        items, token = page(
            self._secrets.list(),
            request.page_size,
            request.page_token,
            key=lambda secret: secret.name,
            size=message_size,
        )
        return pb.ListSecretsResponse(secrets=items, next_page_token=token)

    async def RemoveSecret(
        self, request: pb.RemoveSecretRequest, context: Context
    ) -> pb.RemoveSecretResponse:
        """Forget one."""

        async def remove() -> pb.RemoveSecretResponse:
            self._secrets.remove(request.secret)
            return pb.RemoveSecretResponse()

        return await self._requests.once("RemoveSecret", request, pb.RemoveSecretResponse, remove)
