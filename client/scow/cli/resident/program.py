"""The modules that a server loads before commands come, and whether their files have changed since."""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module

# What commands use; all modules below them are loaded. The async client is never used by a command.
_PACKAGES = ("scow.cli", "scow.words", "scow.client._sync")
# What they import when they need it. grpc makes nothing that a fork would not survive until there is a channel.
_MODULES = (
    *("google.protobuf.any_pb2", "scow.api.types.v1.errors_pb2", "grpc", "grpc._channel"),
    *("scow.client", "scow.client.credentials"),
    *("difflib", "getpass", "shutil", "subprocess", "textwrap", "threading", "traceback"),
)
# Loading one of these runs it.
_NOT_LOADED = ("scow.cli.resident.",)

Files = dict[str, tuple[int, int, int] | None]


def load() -> None:
    """Import what commands use."""
    from scow.cli import startup

    startup.prepare()
    for name in _MODULES:
        import_module(name)
    for package in _PACKAGES:
        for name in _modules_below(package):
            if not name.startswith(_NOT_LOADED):
                import_module(name)


def _modules_below(package: str) -> Iterator[str]:
    try:
        found = import_module(package)
    except ModuleNotFoundError:
        return
    yield from (info.name for info in pkgutil.walk_packages(found.__path__, f"{package}."))


def files() -> Files:
    """Return the state of the files that this program consists of.

    Those of scow one by one; of others the folder of the package, which is made anew when it is upgraded.
    """
    paths = {sys.executable, os.path.dirname(os.__file__)}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not path:
            continue
        if name.startswith("scow."):
            paths.add(path)
        elif "site-packages" in path:
            paths.add(os.path.dirname(path))
    return {path: _state(path) for path in paths}


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_ctime_ns


def changed(before: Files) -> bool:
    """Tell whether a file is another than it was."""
    return any(_state(path) != state for path, state in before.items())


def newer(state: Files, moment: int) -> bool:
    """Tell whether a file was changed after a moment (nanoseconds since 1970), perhaps while it was loaded."""
    return any(each is None or each[2] >= moment for each in state.values())
