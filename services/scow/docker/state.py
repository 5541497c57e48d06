"""What the handlers share: the client of the engine, and the streams that are open at this moment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from scow.client import AsyncClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.client import AsyncAttachment, AsyncExecution
    from scow.docker.fields import Fields

# Executions that were asked for and not started, or have ended.
_EXECUTIONS_MAX = 10_000


@dataclass
class Waiting:
    """Somebody who is attached to a container that does not run yet."""

    stdin: bool
    stdout: bool
    stderr: bool
    session: asyncio.Future[AsyncAttachment]


@dataclass
class Execution:
    """A process in a container, from the moment on that it is asked for."""

    id: str
    container: str
    asked: Fields
    started: bool = False
    # The service's name of it.
    exec_id: str = ""
    session: AsyncExecution | None = None
    code: int | None = None


@dataclass
class Opened:
    """The streams that are open."""

    waiting: dict[str, list[Waiting]] = field(default_factory=dict)
    attached: dict[str, list[AsyncAttachment]] = field(default_factory=dict)
    executions: OrderedDict[str, Execution] = field(default_factory=OrderedDict)
    requests: int = 0
    _since: float = field(default_factory=time.monotonic)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it is served."""
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            self._since = time.monotonic()

    def idle_seconds(self) -> float:
        """Return for how long there was no request."""
        return 0.0 if self.requests else time.monotonic() - self._since

    def add_execution(self, execution: Execution) -> None:
        """Keep an execution, and forget the oldest when there are very many."""
        self.executions[execution.id] = execution
        while len(self.executions) > _EXECUTIONS_MAX:
            self.executions.popitem(last=False)


CLIENT = web.AppKey("client", AsyncClient)
OPENED = web.AppKey("opened", Opened)
