"""The volume service, as containers need it."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.volume.v1 import volume_pb2
from scow.core.peers import Peers
from scow.core.retry import ask


class Volumes:
    """Volumes and mounts. Every call is made again while the service does not answer (see `retry`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def get(self, name: str) -> volume_pb2.Volume:
        """Describe a volume."""
        request = volume_pb2.GetRequest(name=name)
        return (await ask("volume", lambda: self._peers.volume.Get(request))).volume

    async def acquire(
        self, owner: str, mounts: Sequence[volume_pb2.MountRequest]
    ) -> volume_pb2.AcquireResponse:
        """Resolve mounts, and hold their volumes for an owner in place of what it held before."""
        if not mounts:
            return volume_pb2.AcquireResponse()
        request = volume_pb2.AcquireRequest(owner=owner, mounts=mounts)
        return await ask("volume", lambda: self._peers.volume.Acquire(request))

    async def fill(self, owner: str) -> None:
        """Put what was copied for an owner into its volumes."""
        request = volume_pb2.FillRequest(owner=owner)
        await ask("volume", lambda: self._peers.volume.Fill(request))

    async def extend(self, owner: str, mount: volume_pb2.MountRequest) -> volume_pb2.ResolvedMount:
        """Resolve one more mount, and hold its volume."""
        request = volume_pb2.ExtendRequest(owner=owner, mount=mount)
        return (await ask("volume", lambda: self._peers.volume.Extend(request))).mount

    async def withdraw(self, owner: str, target: str) -> None:
        """Let go of one mount's volume; one that is not there is no error."""
        request = volume_pb2.WithdrawRequest(owner=owner, target=target)
        await ask("volume", lambda: self._peers.volume.Withdraw(request))

    async def activate(self, owner: str, target: str = "") -> volume_pb2.ActivateResponse:
        """Have an owner's volumes made ready, all or that of one mount, before its container has them."""
        request = volume_pb2.ActivateRequest(owner=owner, target=target)
        return await ask("volume", lambda: self._peers.volume.Activate(request))

    async def deactivate(self, owner: str) -> None:
        """Have taken back what was made ready, after the owner's container has ended."""
        request = volume_pb2.DeactivateRequest(owner=owner)
        await ask("volume", lambda: self._peers.volume.Deactivate(request))

    async def release(self, owner: str, *, remove_anonymous: bool) -> None:
        """Let go of all that an owner holds; an unknown owner is not an error."""
        request = volume_pb2.ReleaseRequest(owner=owner, remove_anonymous=remove_anonymous)
        await ask("volume", lambda: self._peers.volume.Release(request))
