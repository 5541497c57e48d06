"""Where a container's files are."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from scow.core.config import Config
from scow.kernel.trees import remove_tree

# A beginning of the id that is unique for certain (96 bits): the path of a socket may have 107 bytes (unix(7)).
_PREFIX = 24
_log = structlog.get_logger()


class Paths:
    """The paths of containers' files.

    Args:
        config: Of the engine.
    """

    def __init__(self, config: Config) -> None:
        self.run = config.run.absolute()
        self._shims = self.run / "shims"
        self._data = config.data("container").absolute() / "containers"

    def make(self) -> None:
        """Make the folders that hold the others."""
        self._shims.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def state(self, container: str) -> Path:
        """Return the folder of what is there while a shim is, or has to be cleaned up after."""
        return self._shims / container[:_PREFIX]

    def bundle(self, container: str) -> Path:
        """Return the folder of the OCI bundle."""
        return self.state(container) / "bundle"

    def socket(self, container: str) -> Path:
        """Return the path of the shim's socket."""
        return self.state(container) / "shim.sock"

    def execution(self, container: str) -> Path:
        """Return the path of what a start knows when it executes the process."""
        return self.state(container) / "execution"

    def thaw(self, container: str) -> Path:
        """Return the path of the mark that a container is frozen for a moment: it is to be thawed."""
        return self.state(container) / "thaw"

    def data(self, container: str) -> Path:
        """Return the folder of what is kept until the container is removed."""
        return self._data / container

    def log(self, container: str, form: str = "json") -> Path:
        """Return the path of the log, in one of the forms of `scow.contract.log_formats`."""
        return self.data(container) / f"{container}-{form}.log"

    def sent(self, container: str) -> Path:
        """Return the path of the record of how far the log was sent."""
        return self.data(container) / "sent.json"

    def discard_state(self, container: str) -> None:
        """Delete the state folder: the record that there is something to clean up."""
        discard(self.state(container))

    def discard_data(self, container: str) -> None:
        """Delete the data folder."""
        discard(self.data(container))

    def unknown(self, containers: list[str]) -> tuple[list[Path], list[Path]]:
        """Return the state folders and the data folders of no container."""
        prefixes = {container[:_PREFIX] for container in containers}
        states = [self._shims / n for n in os.listdir(self._shims) if n not in prefixes]
        whole = set(containers)
        data = [self._data / n for n in os.listdir(self._data) if n not in whole]
        return states, data


def discard(folder: Path) -> None:
    """Delete a folder. What cannot be deleted now is looked at again by reconciliation."""
    try:
        remove_tree(folder)
    except OSError as error:
        _log.warning("not deleted", folder=str(folder), error=str(error))
