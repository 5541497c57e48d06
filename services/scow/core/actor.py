"""Who acts: set for each RPC from its metadata, read by the journal and the logs."""

from __future__ import annotations

from contextvars import ContextVar

# The caller's name of the RPC under way; empty outside of one.
current_actor: ContextVar[str] = ContextVar("current_actor", default="")
