"""Options of every gRPC channel to a service, and how a service tells its clients apart."""

from __future__ import annotations

import os

# Beside a service's own pages of 4 MiB there are single objects that have more.
MESSAGE_MAX = 64 << 20
# What services call themselves: one channel of theirs carries the calls of many clients.
SERVICE = "scow-service"

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX),
    ("grpc.enable_http_proxy", 0),
    # A service that was restarted is found again within a moment.
    ("grpc.initial_reconnect_backoff_ms", 50),
    # By its name it is a pause, but it is also how long a connection may take to be made: on a busy machine, long.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Each channel its own connection: none is shared across a fork or a restart.
    ("grpc.use_local_subchannel_pool", 1),
)


def channel_options(program: str) -> tuple[tuple[str, int | str], ...]:
    """Return the options of a new channel.

    All clients of a unix socket have the same address. So each channel has a user agent of its own, by which a service
    counts its calls apart from those of others.

    Args:
        program: Who calls, "scow-client".
    """
    return (*_OPTIONS, ("grpc.primary_user_agent", f"{program}/{os.urandom(8).hex()}"))
