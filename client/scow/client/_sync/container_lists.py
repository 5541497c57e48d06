"""Containers: what one is, lists of them, and the removal of those that do not run."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.client._options import Filters, filters_of
from scow.client._results import PruneResult
from scow.client._sync.lifecycle import Lifecycle
from scow.contract.errors import FailedPrecondition, NotFound

_Containers = list[pb.Container]
_STOPPED = (pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_DEAD)


class ContainerLists(Lifecycle):
    """The part of `Containers` that describes containers."""

    def get(self, container: str, *, timeout: float | None = None) -> pb.Container:
        """Describe one container.

        Example::

            print((client.containers.get("web")).status)
        """
        return (self.get_with_size(container, size=False, timeout=timeout)).container

    def get_with_size(
        self,
        container: str,
        *,
        size: bool = True,
        limits: bool = False,
        timeout: float | None = None,
    ) -> pb.GetResponse:
        """Describe one container, and what costs more to find out.

        Args:
            container: Name or id.
            size: Count the bytes of its writable layer.
            limits: Read what the kernel has of its limits while it runs, into `container.kernel_limits`.
            timeout: Seconds.

        Example::

            print((client.containers.get_with_size("web")).size_rw)
        """
        request = pb.GetRequest(container=container, size=size, limits=limits)
        return self._service.call("Get", request, pb.GetResponse, timeout)

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002  the natural word
        filters: Filters | None = None,
        limit: int = 0,
        timeout: float | None = None,
    ) -> _Containers:
        """Describe all running containers, the newest first.

        Args:
            all: Also those that do not run.
            filters: "id", "name", "label", "status", "exited", "ancestor", "volume", "network",
                "publish", "expose", "before", "since"; values of one key are alternatives.
            limit: At most this many; 0 means all.
            timeout: Seconds for each page.

        Raises:
            InvalidFilter: An unknown key.

        Example::

            for container in client.containers.list(all=True, filters={"status": "exited"}):
                print(container.name, container.exit_code)
        """
        containers: _Containers = []
        request = pb.ListRequest(all=all, filters=filters_of(filters), page_size=limit)
        while True:
            response = self._service.call("List", request, pb.ListResponse, timeout)
            containers.extend(response.containers)
            if limit and len(containers) >= limit:
                return containers[:limit]
            if not response.next_page_token:
                return containers
            request.page_token = response.next_page_token

    def prune(self, *, filters: Filters | None = None, timeout: float | None = None) -> PruneResult:
        """Remove the containers that do not run; one that is started meanwhile stays.

        Args:
            filters: "until" (a time, or a duration back from now), "label", "label!"; all must be met.
            timeout: Seconds for each call.

        Raises:
            InvalidFilter: An unknown key, or a value that it does not take.

        Example::

            print((client.containers.prune(filters={"label!": "keep"})).removed)
        """
        from scow.words.pruning import pruned  # has Docker's templates imported

        wanted = {
            key: [values] if isinstance(values, str) else [*values]
            for key, values in (filters or {}).items()
        }
        meets = pruned(wanted)
        removed, size = [], 0
        for container in self.list(all=True, timeout=timeout):
            if container.status not in _STOPPED or not meets(container):
                continue
            try:
                sized = self.get_with_size(container.id, timeout=timeout)
                self.remove(container.id, timeout=timeout)
            except (FailedPrecondition, NotFound):
                continue
            removed.append(container.id)
            size += sized.size_rw
        return PruneResult(removed, size)
