"""Hearing of changes in the kernel: netlink(7)'s groups."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from scow.contract.errors import ScowError

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_HEADER = struct.Struct("=IHHII")
_RECEIVE = 1 << 16
# One change often comes with others: they are waited for, but not for ever.
_SETTLE_SECONDS = 0.2
_MOST_SETTLES = 10
_log = structlog.get_logger()


@dataclass(frozen=True)
class Subject:
    """What is listened for.

    Attributes:
        protocol: Of netlink.
        groups: That tell of it.
        kinds: Of messages.
    """

    protocol: int
    groups: Collection[int]
    kinds: Collection[int]


# `nft flush ruleset`, or a restart of the firewall's service: NETLINK_NETFILTER, NFNLGRP_NFTABLES, NFT_MSG_DELTABLE.
DELETED_TABLES = Subject(12, (7,), (10 << 8 | 2,))
# RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE; RTM_NEWROUTE, RTM_DELROUTE.
ROUTES = Subject(socket.NETLINK_ROUTE, (7, 11), (24, 25))


class Watch:
    """Calls back a moment after something changed; also by this process, so the callback must come to rest."""

    def __init__(self, subject: Subject, callback: Callable[[], Awaitable[object]]) -> None:
        self._subject = subject
        self._callback = callback
        self._task: asyncio.Task[None] | None = None
        self._again = False
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, subject.protocol)
        self._socket.bind((0, 0))
        for group in subject.groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: messages were lost, and this may have been among them
            self._schedule()
            return
        if has_message(data, self._subject.kinds):
            self._schedule()

    def _schedule(self) -> None:
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._call())

    async def _call(self) -> None:
        while self._again:
            for _ in range(_MOST_SETTLES):
                self._again = False
                await asyncio.sleep(_SETTLE_SECONDS)
                if not self._again:
                    break
            self._again = False
            try:
                await self._callback()
            except ScowError as error:
                # It is called again when something changes, and what it does the timer does too.
                _log.warning("a change in the kernel was not followed", error=str(error))

    async def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def has_message(data: bytes, kinds: Collection[int]) -> bool:
    """Tell whether one of the netlink messages in `data` is of some kinds."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, position)
        if kind in kinds:
            return True
        position += max(_HEADER.size, (length + 3) & ~3)
    return False
