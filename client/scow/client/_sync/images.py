"""The image service, as a client sees it."""

from __future__ import annotations

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import layer_pb2
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.client._link import request_id
from scow.client._options import Filters, filters_of, platform_of
from scow.client._sync.archives import Archives
from scow.client._sync.registries import Registries
from scow.client._sync.stream import Stream
from scow.client._watch import resume_watch
from scow.contract.errors import DataLoss

# Images of one page of a list.
_PAGE = 2500

_Images = list[pb.Image]
_Actions = list[ReconcileAction]


class Images(Archives, Registries):
    """Images.

    Example::

        image = client.images.pull("nginx")
        print(image.id, image.size)
    """

    def attestations(
        self, name: str, *, platform: str = "", timeout: float | None = None
    ) -> list[layer_pb2.Attestation]:
        """Return what is said about an image: in-toto statements, its provenance and list of packages among them.

        Args:
            name: Of the image.
            platform: "linux/arm64": which image of an index; empty means the one that is run.
            timeout: Seconds.

        Raises:
            ImageNotFound, PlatformNotFound: There is no such image.

        Example::

            for each in client.images.attestations("site:1"):
                print(each.predicate_type, json.loads(each.statement)["predicate"])
        """
        request = layer_pb2.GetAttestationsRequest(image=name)
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        response = self._service.call(
            "LayerService/GetAttestations", request, layer_pb2.GetAttestationsResponse, timeout
        )
        return [*response.attestations]

    def pull_progress(
        self,
        reference: str,
        *,
        platform: str = "",
        all_platforms: bool = False,
        auth: pb.Auth | None = None,
        timeout: float | None = None,
    ) -> Stream[pb.PullResponse]:
        """Fetch an image, and tell the progress of each layer; the last message has the image.

        Closing the iterator cancels the pull; what was fetched is used by the next one.

        Args:
            reference: "nginx" means docker.io/library/nginx:latest.
            platform: "linux/arm64"; empty means the host's.
            all_platforms: Keep an index whole: fetch the images of all its platforms. Excludes `platform`.
            auth: What the registry wants to know.
            timeout: Seconds for all of it.

        Raises:
            InvalidReference: No such form.
            ImageUntrusted, InvalidTrustPolicy: The trust policy does not let it in, or cannot be read.
            ManifestNotFound, PlatformNotFound: The registry does not have it.
            RegistryDenied, RegistryRateLimited, RegistryUnavailable: The registry refused.
            DigestMismatch, LayerCorrupt: The bytes are not what they must be.
            DiskFull: No space is left.

        Example::

            with client.images.pull_progress("nginx") as progress:
                for message in progress:
                    print(message.layer.current, message.layer.total)
        """
        request = pb.PullRequest(
            request_id=request_id(), reference=reference, auth=auth, all_platforms=all_platforms
        )
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        return self._service.stream("Pull", request, pb.PullResponse, timeout, lambda _: request)

    def pull(
        self,
        reference: str,
        *,
        platform: str = "",
        all_platforms: bool = False,
        auth: pb.Auth | None = None,
        timeout: float | None = None,
    ) -> pb.Image:
        """Fetch an image and return it; arguments and errors are those of `pull_progress`.

        Example::

            image = client.images.pull("docker.io/library/nginx:1.27")
        """
        progress = self.pull_progress(
            reference, platform=platform, all_platforms=all_platforms, auth=auth, timeout=timeout
        )
        with progress:
            for message in progress:
                if message.WhichOneof("message") == "image":
                    return message.image
        raise DataLoss(
            f"the pull of {reference} ended without an image",
            what="image",
            which=reference,
            do="pull it again",
        )

    def get(self, image: str, *, platform: str = "", timeout: float | None = None) -> pb.Image:
        """Describe one image.

        Args:
            image: Reference, digest reference, id, or a unique prefix of the id.
            platform: "linux/arm64": which image of an index that is kept whole; empty means the one that is run.
            timeout: Seconds.

        Raises:
            ImageNotFound: No such image.
            PlatformNotFound: It is here for other platforms alone.
            AmbiguousId: Several images share the prefix.

        Example::

            print((client.images.get("nginx")).config.cmd)
        """
        request = pb.GetRequest(image=image)
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        return (self._service.call("Get", request, pb.GetResponse, timeout)).image

    def details(
        self, image: str, *, platform: str = "", timeout: float | None = None
    ) -> pb.GetResponse:
        """Describe one image with its history and its documents, byte for byte; names and errors are those of `get`.

        Args:
            image: Which one.
            platform: Which one of an index that is kept whole, "linux/arm64"; empty means the host's.
            timeout: Seconds.

        Example::

            for step in (client.images.details("nginx")).history:
                print(step.created_by, step.size)
        """
        request = pb.GetRequest(image=image)
        if platform:
            request.platform.CopyFrom(platform_of(platform))
        return self._service.call("Get", request, pb.GetResponse, timeout)

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002  the natural word
        filters: Filters | None = None,
        sizes: bool = False,
        timeout: float | None = None,
    ) -> _Images:
        """Describe all images, the newest first.

        Args:
            all: Also those that only an index kept whole holds, and what has a name but no image for this machine.
            filters: "reference", "label", "dangling", "before", "since", "until"; values of one key are
                alternatives.
            sizes: Count `shared_size`.
            timeout: Seconds for each page.

        Raises:
            InvalidFilter: An unknown key.

        Example::

            for image in client.images.list(filters={"reference": "nginx"}):
                print(image.references)
        """
        images: _Images = []
        request = pb.ListRequest(filters=filters_of(filters), sizes=sizes, all=all, page_size=_PAGE)
        while True:
            response = self._service.call("List", request, pb.ListResponse, timeout)
            images.extend(response.images)
            if not response.next_page_token:
                return images
            request.page_token = response.next_page_token

    def tag(self, image: str, reference: str, *, timeout: float | None = None) -> None:
        """Give an image a further reference, taking it from another image if need be.

        Raises:
            ImageNotFound: No such image.
            InvalidReference: No such form.

        Example::

            client.images.tag("nginx", "registry.example/web:1")
        """
        request = pb.TagRequest(request_id=request_id(), image=image, reference=reference)
        self._service.call("Tag", request, pb.TagResponse, timeout)

    def remove(
        self, image: str, *, force: bool = False, timeout: float | None = None
    ) -> pb.RemoveResponse:
        """Drop a reference, and the image with the last one; tell what is gone.

        Args:
            image: Reference, or id.
            force: Drop all references of an image named by id, also several; and the last one also when a container
                that does not run is made from the image, which stays without a name then.
            timeout: Seconds.

        Raises:
            ImageNotFound: No such image.
            ImageInUse: A container is made from it.
            ImageHasReferences: It is named by id and has several references.

        Example::

            print((client.images.remove("nginx")).deleted)
        """
        request = pb.RemoveRequest(request_id=request_id(), image=image, force=force)
        return self._service.call("Remove", request, pb.RemoveResponse, timeout)

    def reconcile(self, *, timeout: float | None = None) -> _Actions:
        """Compare records with directories and owners now, and tell what was done.

        Example::

            print(client.images.reconcile())
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

            with client.images.watch(1) as events:
                for message in events:
                    print(message.event.action, message.event.object_id)
        """
        request = pb.WatchRequest(from_revision=from_revision, filters=filters_of(filters))
        return self._service.stream(
            "Watch", request, pb.WatchResponse, timeout, lambda last: resume_watch(request, last)
        )
