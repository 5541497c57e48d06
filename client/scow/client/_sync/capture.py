"""Images and archives made from a container's file system: commit and export."""

from __future__ import annotations

from collections.abc import Iterable

from scow.api.container.v1 import container_pb2 as pb
from scow.client._link import request_id
from scow.client._sync.service import Service
from scow.client._sync.stream import Stream
from scow.client._sync.targets import Place, write_to


class Capture:
    """The part of Containers that copies a container's files out of it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def commit(
        self,
        container: str,
        reference: str = "",
        *,
        author: str = "",
        message: str = "",
        changes: Iterable[str] = (),
        pause: bool = True,
        timeout: float | None = None,
    ) -> str:
        """Make an image of a container; return its id, "sha256:...".

        Args:
            container: Running or not.
            reference: For the image; empty leaves it without.
            author: Of the image.
            message: Comment of the image.
            changes: Dockerfile instructions applied to its configuration, 'CMD ["sh"]'.
            pause: Freeze the container meanwhile, so that no write is cut in two.
            timeout: Seconds.

        Raises:
            InvalidReference: No such form.
            InvalidArgument: A change that is not supported.
            ContainerBusy: It is being removed.
            DiskFull: No space is left.

        Example::

            image = client.containers.commit("web", "web:fixed", changes=["ENV FIXED=yes"])
        """
        request = pb.CommitRequest(
            request_id=request_id(),
            container=container,
            reference=reference,
            author=author,
            message=message,
            changes=changes,
            no_pause=not pause,
        )
        response = self._service.call("Commit", request, pb.CommitResponse, timeout)
        return response.image_id

    def export(self, container: str, target: Place, *, timeout: float | None = None) -> None:
        """Write a tar of a container's root file system, without what is mounted into it.

        Args:
            container: Running or not.
            target: Path or open binary file. A file at the path is replaced when the tar is complete.
            timeout: Seconds for all of it.

        Raises:
            ContainerBusy: It is being made or removed.
            MountFailed: Its root file system cannot be mounted.
            OSError: The target cannot be written.

        Example::

            client.containers.export("web", "web.tar")
        """
        with self.export_stream(container, timeout=timeout) as stream:
            write_to(stream, target)

    def export_stream(
        self, container: str, *, timeout: float | None = None
    ) -> Stream[pb.ExportResponse]:
        """Give the tar of `export` in pieces; arguments and errors are those of `export`.

        Example::

            with client.containers.export_stream("web") as tar:
                for message in tar:
                    print(len(message.chunk))
        """
        request = pb.ExportRequest(container=container)
        return self._service.stream(
            "Export",
            request,
            pb.ExportResponse,
            timeout,
            lambda last: request if last is None else None,
        )
