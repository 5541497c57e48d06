"""The files of containers, as a client sees them."""

from __future__ import annotations

from scow.api.container.v1 import files_pb2 as pb
from scow.api.types.v1.types_pb2 import FileChange
from scow.client._sync.service import Service
from scow.client._sync.stream import Stream


class SyncFiles:
    """The part of Containers that looks at files."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def diff(self, container: str, *, timeout: float | None = None) -> list[FileChange]:
        """Tell what a container changed in its file system, running or not.

        Directories come before what is in them. Paths are bytes. What is mounted into it is not looked at.

        Raises:
            ContainerBusy: It is being made or removed.
            DataLoss: Its files cannot be read.

        Example::

            for change in client.containers.diff("web"):
                print(FileChange.Kind.Name(change.kind), change.path.decode())
        """
        changes: list[FileChange] = []
        with self.diff_stream(container, timeout=timeout) as messages:
            for message in messages:
                changes += message.changes
        return changes

    def diff_stream(
        self, container: str, *, timeout: float | None = None
    ) -> Stream[pb.DiffResponse]:
        """Give the changes of `diff` in pieces; arguments and errors are those of `diff`.

        Example::

            with client.containers.diff_stream("web") as messages:
                for message in messages:
                    print(len(message.changes))
        """
        request = pb.DiffRequest(container=container)
        return self._service.stream(
            "FilesService/Diff",
            request,
            pb.DiffResponse,
            timeout,
            lambda last: request if last is None else None,
        )
