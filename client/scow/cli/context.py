"""What every verb gets besides its options: the client and the streams."""

from __future__ import annotations

import sys

from scow.cli.io.terminal_text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from scow.api.image.v1.image_pb2 import Auth
    from scow.client import Client

# Containers of one error whose names are looked up.
_NAMED = 16
# Objects that one command works on at once.
_AT_ONCE = 16


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

    def auth(self, reference: str) -> Auth | None:
        """Return the stored credentials for a reference's registry, or None.

        A helper program that fails is warned of: what is public needs no credentials.

        Raises:
            InvalidConfig: The file with them cannot be read.
        """
        from scow.client.credentials import CredentialStore
        from scow.contract.errors import CredentialHelperFailed

        try:
            return CredentialStore().auth(reference)
        except CredentialHelperFailed as error:
            self.warn(f"WARNING: {error}")
            return None

    def out(self, text: str = "") -> None:
        """Print a line of results."""
        print(one_line(text, sys.stdout))

    def block(self, text: str) -> None:
        """Print results whose ends of lines and tabs are meant: JSON, what a template made, several lines."""
        print(text)

    def warn(self, text: str) -> None:
        """Print a line that is not a result."""
        sys.stdout.flush()
        print(one_line(text, sys.stderr), file=sys.stderr)

    def warn_all(self, warnings: Iterable[str]) -> None:
        """Print what was asked for and could not be given."""
        for warning in warnings:
            self.warn(f"WARNING: {warning}")

    def fail(self, error: object) -> None:
        """Print an error; "what: what to do" where it is one of scow.contract.errors."""
        owners = getattr(error, "metadata", {}).get("owners", "")
        self.warn(f"scow: {self._with_names(str(error), owners.split(',') if owners else [])}")

    def _with_names(self, text: str, owners: Sequence[str]) -> str:
        """Return a text in which containers that hold something have their names in place of ids."""
        if not owners:
            return text
        from contextlib import suppress

        from scow.contract.errors import ScowError

        for number, owner in enumerate(owners):
            kind, _, container = owner.partition("/")
            if kind != "container":
                continue
            name = container[:12]
            if number < _NAMED:
                with suppress(ScowError):  # the id has to do then
                    name = self.client.containers.get(container).name
            text = text.replace(owner, f"container {name}")
        return text

    def each(
        self, names: Sequence[str], act: Callable[[str], str | None], *, in_turn: bool = False
    ) -> int:
        """Do the same for several objects at once; print each outcome, in the order given.

        Args:
            names: The objects.
            act: Does it and returns what to print, or None.
            in_turn: One after the other, where what happens to one decides about the next.

        Returns:
            The exit code: 1 when one failed.
        """
        from scow.contract.errors import ScowError

        status = 0
        outcomes = (_outcome(act, name) for name in names) if in_turn else _concurrently(names, act)
        for outcome in outcomes:
            if isinstance(outcome, ScowError):
                self.fail(outcome)
                status = 1
            elif isinstance(outcome, BaseException):
                raise outcome
            elif outcome is not None:
                self.out(outcome)
        return status

    def close(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _concurrently(
    names: Sequence[str], act: Callable[[str], str | None]
) -> Iterator[str | BaseException | None]:
    """Give what `act` returned or raised, in order, each as soon as it is there."""
    if len(names) == 1:
        yield _outcome(act, names[0])
        return
    import threading

    outcomes: dict[int, str | BaseException | None] = {}

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            outcomes[number] = _outcome(act, names[number])
            arrived.release()

    arrived = threading.Semaphore(0)
    numbers = iter(range(len(names)))  # next() on it is atomic
    for _ in range(min(len(names), _AT_ONCE)):
        threading.Thread(target=work, args=(numbers,), daemon=True).start()
    for number in range(len(names)):
        while number not in outcomes:
            arrived.acquire()
        yield outcomes[number]


def _outcome(act: Callable[[str], str | None], name: str) -> str | BaseException | None:
    try:
        return act(name)
    except BaseException as error:  # noqa: BLE001  raised again by the caller's thread
        return error
