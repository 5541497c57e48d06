"""Seeing that somebody deleted nftables tables: `nft flush ruleset`, or a restart of the firewall's service.

Without this, published ports would stay closed until the next reconciliation.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

_NETFILTER = 12  # NETLINK_NETFILTER, which the socket module lacks
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_NFTABLES = 7  # NFNLGRP_NFTABLES
_DELETED_TABLE = 10 << 8 | 2  # NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE
_HEADER = struct.Struct("=IHHII")
_RECEIVE = 1 << 16
# A flush deletes many tables and is often followed by the making of others.
_SETTLE_SECONDS = 0.2


class TableWatch:
    """Calls back, a moment after tables were deleted; also our own, so the callback must come to rest."""

    def __init__(self, callback: Callable[[], Awaitable[object]]) -> None:
        self._callback = callback
        self._task: asyncio.Task[None] | None = None
        self._again = False
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: messages were lost, and this may have been among them
            self._schedule()
            return
        if has_deleted_table(data):
            self._schedule()

    def _schedule(self) -> None:
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._call())

    async def _call(self) -> None:
        while self._again:
            await asyncio.sleep(_SETTLE_SECONDS)
            self._again = False
            await self._callback()

    async def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def has_deleted_table(data: bytes) -> bool:
    """Tell whether one of the netlink messages in `data` says that a table was deleted."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, position)
        if kind == _DELETED_TABLE:
            return True
        position += max(_HEADER.size, (length + 3) & ~3)
    return False
