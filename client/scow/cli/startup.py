"""The first and the last milliseconds of the process; every one of them is paid by every command.

Measured on the way of `scow run` (CPython 3.11, grpcio 1.85), 132 ms before: 15 ms for the interpreter's tidying up
at its end, 7 ms for the collector of garbage while modules are imported, 18 ms for asyncio, which grpc imports for its
asyncio half, and which blocking calls do not use.
"""

from __future__ import annotations

import gc
import os
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# Imports make many objects and no garbage. A command that stays, `logs -f`, is collected all the same.
_OBJECTS = 100_000


def prepare() -> None:
    """Get this process ready. Only for a process that is the command line, before it imports grpc."""
    gc.set_threshold(_OBJECTS)
    if "grpc" not in sys.modules and "asyncio" not in sys.modules:
        _postpone_asyncio()


class _Postponed(ModuleType):
    """A module that is loaded when something of it is used.

    importlib.util.LazyLoader does not do here: an import statement that finds the module looks at its __spec__, which
    makes that one load it.
    """

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        value: object = getattr(__import__(self.__name__), name)
        return value


def _postpone_asyncio() -> None:
    sys.modules["asyncio"] = _Postponed("asyncio")
    # It would use asyncio at once.
    sys.modules["grpc.aio"] = ModuleType("grpc.aio", "Left out: see scow.cli.startup.")


def outcome(run: Callable[[], int]) -> int:
    """Return the exit code of a command, as the interpreter would make it of what a program raises."""
    try:
        return run()
    except SystemExit as error:  # of a signal handler
        return error.code if isinstance(error.code, int) else 1
    except Exception:  # noqa: BLE001  a bug: it shows where
        import traceback

        traceback.print_exc()
        return 1


def leave(code: int, told: Callable[[int], None] | None = None) -> NoReturn:
    """End the process: write out what was printed, and skip the interpreter's tidying up.

    Args:
        code: The exit code.
        told: Gets the exit code that it has become, right before the end.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or 128 + 13
    except OSError as error:
        if not code:  # otherwise a message was there already
            os.write(2, f"scow: {error}\n".encode())
        code = code or 1
    if told is not None:
        told(code)
    os._exit(code)
