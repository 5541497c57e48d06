"""CNI as a call for others: attachments that are no endpoints of the engine, of a namespace at a path."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import InvalidArgument, NetworkNotFound
from scow.network.cni import configuration
from scow.network.cni.chain import Chain, Result
from scow.network.cni.configuration import Configuration
from scow.network.cni.plugin import Attachment

# How keys of such attachments begin.
PREFIX = "call-"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_INTERFACE = re.compile(r"[^/:\s]{1,15}")
_FIRST_INTERFACE = "eth0"


class Calls:
    """Serves the CNI calls.

    Args:
        chain: Executes plugins.
        folder: Of configurations.
    """

    def __init__(self, chain: Chain, folder: Path) -> None:
        self._chain = chain
        self._folder = folder
        # Of one attachment calls are made one after another, as the specification demands.
        self._locks: dict[str, asyncio.Lock] = {}

    async def add(self, request: pb.CniAddRequest) -> pb.CniAddResponse:
        """Execute ADD; a repeated call gets the same result.

        Raises:
            ScowError: As the contract says.
        """
        attachment = _attachment(request)
        key = _key(request.network, attachment)
        async with self._lock(key):
            kept = self._chain.kept(key)
            if kept is not None and kept.result.raw and kept.attachment == attachment:
                return _response(kept.result)
            if kept is not None:
                await self._chain.delete(key)
            config = self._load(request.network)
            return _response(await self._chain.add(key, config, attachment))

    async def delete(self, request: pb.CniDelRequest) -> pb.CniDelResponse:
        """Execute DEL; what is not attached is no error."""
        attachment = _attachment(request)
        key = _key(request.network, attachment)
        async with self._lock(key):
            kept = self._chain.kept(key)
            if kept is not None:
                await self._chain.delete(key, _now(kept.attachment))
        return pb.CniDelResponse()

    async def check(self, request: pb.CniCheckRequest) -> pb.CniCheckResponse:
        """Execute CHECK."""
        key = _key(request.network, _attachment(request))
        async with self._lock(key):
            await self._chain.check(key)
        return pb.CniCheckResponse()

    async def status(self, request: pb.CniStatusRequest) -> pb.CniStatusResponse:
        """Execute STATUS."""
        await self._chain.status(self._load(request.network))
        return pb.CniStatusResponse()

    async def collect(self, request: pb.CniGcRequest) -> pb.CniGcResponse:
        """Delete attachments whose namespace has gone, then execute GC."""
        config = self._load(request.network)
        removed = []
        for key in self._chain.attachments():
            kept = self._chain.kept(key)
            if kept is None or kept.configuration.name != config.name or not key.startswith(PREFIX):
                continue
            now = _now(kept.attachment)
            if not now.netns:
                async with self._lock(key):
                    await self._chain.delete(key, now)
                removed.append(now.container_id)
        await self._chain.collect(config)
        return pb.CniGcResponse(removed=removed)

    def _load(self, network: str) -> Configuration:
        """Return the configuration of a name; paths are for those who make networks."""
        return configuration.load(_named(network), self._folder)

    def _lock(self, key: str) -> asyncio.Lock:
        locks = self._locks
        if len(locks) > 1000:
            for name in [name for name, lock in locks.items() if not lock.locked()]:
                del locks[name]
        return locks.setdefault(key, asyncio.Lock())


_Request = pb.CniAddRequest | pb.CniDelRequest | pb.CniCheckRequest


def _attachment(request: _Request) -> Attachment:
    """Return what a request is about.

    Raises:
        InvalidArgument: No container or interface can be called that.
    """
    if not _ID.fullmatch(request.container_id):
        raise _invalid("container id", request.container_id, "letters, digits, '_', '.' and '-'")
    interface = request.interface or _FIRST_INTERFACE
    if not _INTERFACE.fullmatch(interface) or interface in (".", ".."):
        raise _invalid("interface", interface, "up to 15 characters without '/', ':' and blanks")
    if not isinstance(request, pb.CniAddRequest):
        return Attachment(request.container_id, "", interface)
    if not request.netns_path.startswith("/"):
        raise _invalid("network namespace", request.netns_path, "an absolute path")
    return Attachment(
        request.container_id,
        request.netns_path,
        interface,
        args=dict(request.args),
        capabilities=_capabilities(request.capabilities),
    )


def _now(attachment: Attachment) -> Attachment:
    """Return an attachment without a namespace where that has gone, as DEL wants it."""
    gone = not Path(attachment.netns).exists()
    return replace(attachment, netns="") if gone else attachment


def _capabilities(text: str) -> dict[str, object]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _invalid("capabilities", text[:100], "an object of JSON")
    return found


def _key(network: str, attachment: Attachment) -> str:
    """Return the key of an attachment: a container may be in several networks."""
    # A comma is in none of the names.
    return f"{PREFIX}{_named(network)},{attachment.container_id},{attachment.interface}"


def _named(network: str) -> str:
    """Return what a configuration can be called.

    Raises:
        NetworkNotFound: None can be called that.
    """
    if not _ID.fullmatch(network):
        raise NetworkNotFound(
            f"there is no CNI configuration {network!r}",
            what="CNI configuration",
            which=network,
            do="give the name in the configuration",
        )
    return network


def _response(result: Result) -> pb.CniAddResponse:
    return pb.CniAddResponse(
        result=json.dumps(result.raw),
        addresses=[str(address) for address in result.addresses],
        mac_address=result.mac,
    )


def _invalid(what: str, which: str, wanted: str) -> InvalidArgument:
    return InvalidArgument(f"invalid {what} {which!r}", what=what, which=which, do=f"give {wanted}")
