"""The volume service, as a client sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.api.volume.v1 import volume_pb2 as pb
from scow.client._link import request_id
from scow.client._options import Filters, filters_of
from scow.client._sync.stream import Stream
from scow.client._sync.volume_archives import VolumeArchives
from scow.client._sync.volume_limits import VolumeLimits
from scow.client._watch import resume_watch

_Volumes = list[pb.Volume]
_Actions = list[ReconcileAction]


class Volumes(VolumeArchives, VolumeLimits):
    """Named volumes.

    Example::

        volume = client.volumes.create("data", labels={"tier": "db"})
        print(volume.mountpoint)
    """

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        size: int = 0,
        inodes: int = 0,
        timeout: float | None = None,
    ) -> pb.Volume:
        """Make a volume; one that is there with the same driver and options is returned.

        Args:
            name: Empty: one is made up.
            driver: Empty means "local".
            labels: Free keys and values.
            options: Of the driver: "type", "device", "o" as mount(8) has them.
            size: Bytes that it may take; 0 means no limit.
            inodes: Files, directories and all else that it may have; 0 means no limit.
            timeout: Seconds.

        Raises:
            InvalidName: A name with characters that are not allowed.
            NameInUse: A volume with other options or limits has the name.
            QuotaUnsupported: The file system does not enforce limits; no volume is made.
            VolumeNotLocal: Its data would not be in a folder of the engine's own.

        Example::

            volume = client.volumes.create("data")
        """
        request = pb.CreateRequest(
            request_id=request_id(),
            name=name,
            driver=driver,
            labels=labels,
            options=options,
            size=size,
            inodes=inodes,
        )
        response = self._service.call("Create", request, pb.CreateResponse, timeout)
        return response.volume

    def get(self, name: str, *, timeout: float | None = None) -> pb.Volume:
        """Describe one volume.

        Raises:
            VolumeNotFound: No such volume.

        Example::

            print((client.volumes.get("data")).mountpoint)
        """
        request = pb.GetRequest(name=name)
        return (self._service.call("Get", request, pb.GetResponse, timeout)).volume

    def list(self, *, filters: Filters | None = None, timeout: float | None = None) -> _Volumes:
        """Describe all volumes, by name.

        Args:
            filters: "name", "label", "driver", "dangling"; values of one key are alternatives.
            timeout: Seconds for each page.

        Raises:
            InvalidFilter: An unknown key.

        Example::

            for volume in client.volumes.list(filters={"dangling": "true"}):
                print(volume.name)
        """
        volumes: _Volumes = []
        request = pb.ListRequest(filters=filters_of(filters))
        while True:
            response = self._service.call("List", request, pb.ListResponse, timeout)
            volumes.extend(response.volumes)
            if not response.next_page_token:
                return volumes
            request.page_token = response.next_page_token

    def remove(self, name: str, *, force: bool = False, timeout: float | None = None) -> None:
        """Delete a volume and its data.

        Args:
            name: Its name.
            force: An unknown volume is not an error.
            timeout: Seconds.

        Raises:
            VolumeNotFound: No such volume.
            VolumeInUse: A container holds it.

        Example::

            client.volumes.remove("data")
        """
        request = pb.RemoveRequest(request_id=request_id(), name=name, force=force)
        self._service.call("Remove", request, pb.RemoveResponse, timeout)

    def update(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        remove_labels: Iterable[str] = (),
        timeout: float | None = None,
    ) -> pb.Volume:
        """Change a volume's labels; return the volume as it is then.

        Args:
            name: Its name.
            labels: To set, in place of what they were.
            remove_labels: To take away first; what is not there is no error.
            timeout: Seconds.

        Raises:
            VolumeNotFound: No such volume.

        Example::

            client.volumes.update("data", labels={"tier": "db"}, remove_labels=["old"])
        """
        request = pb.UpdateRequest(
            request_id=request_id(), name=name, labels=labels, remove_labels=remove_labels
        )
        response = self._service.call("Update", request, pb.UpdateResponse, timeout)
        return response.volume

    def prune(
        self,
        *,
        named: bool = False,
        filters: Filters | None = None,
        timeout: float | None = None,
    ) -> pb.PruneResponse:
        """Remove volumes that no container holds; tell their names and how many bytes they took.

        Args:
            named: Also those with names.
            filters: "label", "label!", "name", "all".
            timeout: Seconds.

        Raises:
            InvalidFilter: An unknown key.

        Example::

            print((client.volumes.prune(filters={"label!": "keep"})).removed)
        """
        request = pb.PruneRequest(request_id=request_id(), all=named, filters=filters_of(filters))
        return self._service.call("Prune", request, pb.PruneResponse, timeout)

    def usage(self, names: Iterable[str] = (), *, timeout: float | None = None) -> dict[str, int]:
        """Return the bytes of volumes' data by name; of all volumes when none is named.

        Raises:
            VolumeNotFound: No such volume.

        Example::

            print((client.volumes.usage(["data"]))["data"])
        """
        request = pb.UsageRequest(names=names)
        response = self._service.call("Usage", request, pb.UsageResponse, timeout)
        return {volume.name: volume.size for volume in response.volumes}

    def reconcile(self, *, timeout: float | None = None) -> _Actions:
        """Compare records with directories and owners now, and tell what was done.

        Example::

            print(client.volumes.reconcile())
        """
        request = pb.ReconcileRequest()
        response = self._service.call("Reconcile", request, pb.ReconcileResponse, timeout)
        return [*response.actions]

    def watch(
        self,
        from_revision: int = 0,
        *,
        filters: Filters | None = None,
        timeout: float | None = None,
    ) -> Stream[pb.WatchResponse]:
        """Replay the journal, then follow it; goes on where it was after a restart.

        Args:
            from_revision: First revision to deliver; 0 means only what comes from now on.
            filters: "type", "object", "action" and the like.
            timeout: Seconds for all of it.

        Example::

            with client.volumes.watch(1) as events:
                for message in events:
                    print(message.event.action, message.event.object_id)
        """
        request = pb.WatchRequest(from_revision=from_revision, filters=filters_of(filters))
        return self._service.stream(
            "Watch", request, pb.WatchResponse, timeout, lambda last: resume_watch(request, last)
        )
