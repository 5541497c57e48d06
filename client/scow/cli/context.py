"""What every verb gets besides its options: the client and the streams."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scow.client import Client


class Context:
    """One run of the command line.

    Args:
        host: "unix://RUN_DIR", or empty for SCOW_HOST and then the default.
    """

    def __init__(self, host: str = "") -> None:
        self.host = host
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The sync client, made (and gRPC imported) when it is first asked for."""
        if self._client is None:
            from scow.client import Client

            self._client = Client(self.host or None)
        return self._client

    def out(self, text: str = "") -> None:
        """Print a line of results."""
        print(text)

    def warn(self, text: str) -> None:
        """Print a line that is no result."""
        sys.stdout.flush()
        print(text, file=sys.stderr)

    def fail(self, error: object) -> None:
        """Print an error; "what: what to do" where it is one of scow.core.errors."""
        self.warn(f"scow: {error}")

    def each(self, names: Iterable[str], act: Callable[[str], None]) -> int:
        """Do the same for several objects, printing the error of each that fails.

        Returns:
            The exit code: 1 when one failed.
        """
        from scow.core.errors import ScowError

        status = 0
        for name in names:
            try:
                act(name)
            except ScowError as error:
                self.fail(error)
                status = 1
        return status

    def close(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None
