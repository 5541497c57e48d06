"""A secret, as `docker secret inspect` has it."""

from __future__ import annotations

from scow.words.shapes.common import mapping, time_of
from scow.words.template.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.container.v1.secret_pb2 import Secret


def secret_shape(secret: Secret) -> Struct:
    """Return a secret in Docker's shape; it never changes, so that its version is the first."""
    return Struct(
        ID=secret.id,
        Version=Struct(Index=1),
        CreatedAt=time_of(secret, "created_at"),
        UpdatedAt=time_of(secret, "created_at"),
        Spec=Struct(Name=secret.name, Labels=mapping(secret.labels)),
    )
