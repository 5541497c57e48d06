"""Builds: images from Dockerfiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import BinaryIO, Self

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.client._aio import Duplex, following, pause
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._cache_folder import CacheFolder
from scow.client._context import Answers, ContextDirectory
from scow.client._link import WireError, request_id
from scow.client._options import filters_of, platform_of
from scow.contract.errors import DataLoss, InvalidArgument
from scow.words import build_cache


class AsyncBuilds:
    """The build service; see `AsyncClient.builds`."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def build(
        self,
        directory: str | os.PathLike[str] = ".",
        *,
        tags: Iterable[str] = (),
        dockerfile: str | os.PathLike[str] | bytes = "",
        target: str = "",
        build_args: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        platform: str = "",
        no_cache: bool = False,
        pull: bool = False,
        timeout: float | None = None,
    ) -> pb.BuildResult:
        """Build an image.

        Args:
            directory: The context: its files can be copied.
            tags: References for the image.
            dockerfile: Path of the Dockerfile, or its text as bytes; empty means that in the directory.
            target: The stage to build; empty means the last one.
            build_args: Values of ARG.
            labels: Labels of the image.
            platform: "linux/arm64"; empty means the host's.
            no_cache: Use no results of earlier builds.
            pull: Ask registries for newer base images.
            timeout: Seconds.

        Raises:
            InvalidDockerfile: The Dockerfile cannot be read.
            BuildFailed: A step failed.
            InvalidContext: The directory cannot be sent.
            ScowError: What other services say.

        Example::

            result = await client.builds.build("site", tags=["site:1"])
            print(result.images[0].image_id)
        """
        if isinstance(dockerfile, bytes):
            name, text = "Dockerfile", dockerfile
        else:
            name = os.fspath(dockerfile) or "Dockerfile"
            text = _read(directory, os.fspath(dockerfile))
        options = pb.BuildOptions(
            request_id=request_id(),
            dockerfile=text,
            dockerfile_path=name,
            target=target,
            build_args=build_args or {},
            labels=labels or {},
            tags=tags,
            no_cache=no_cache,
            pull=pull,
        )
        if platform:
            options.platforms.append(platform_of(platform))
        contexts = {"": ContextDirectory(directory)}
        async with self.build_progress(options, contexts, timeout=timeout) as building:
            async for response in building:
                if response.HasField("result"):
                    return response.result
        raise DataLoss("the build ended without a result", what="build", do="build again")

    def build_progress(
        self,
        options: pb.BuildOptions,
        directories: Mapping[str, ContextDirectory],
        *,
        archives: Mapping[str, BinaryIO] | None = None,
        outputs: Mapping[int, Callable[[bytes], object]] | None = None,
        secrets: Mapping[str, bytes] | None = None,
        agents: Mapping[str, str] | None = None,
        auth: Callable[[str], Auth | None] = lambda registry: None,
        timeout: float | None = None,
    ) -> AsyncBuilding:
        """Build, and tell what happens. Left early, the build is cancelled.

        Args:
            options: What is built; contexts of directories are added.
            directories: The directories, by the names of their contexts.
            archives: Contexts that are sent as they are, tars or a Dockerfile alone, by their names; they are read.
            outputs: Take the bytes of archives and tars, by the numbers of the outputs in the options.
            secrets: What RUN may ask for, by id.
            agents: Sockets of SSH agents that RUN may use, by id.
            auth: Gives the credentials for a registry ("docker.io"), when the build needs them.
            timeout: Seconds.

        Raises:
            DataLoss: While iterating: an output that is taken has no end.
            ScowError: While iterating; see `build`.

        Example::

            async with client.builds.build_progress(options, {"": ContextDirectory(".")}) as building:
                async for response in building:
                    print(response.event)
        """
        for name, directory in directories.items():
            options.contexts.add(name=name, directory=directory.identity)
        if "" in directories:
            options.ignored.extend(directories[""].patterns())
        options.secrets.extend(secrets or {})
        options.ssh.extend(agents or {})
        answers = Answers(directories, secrets or {}, auth, agents or {})
        answers.archives = archives or {}
        if not options.check:
            answers.outputs = outputs or {}
            _add_caches(answers, options)
        for name in answers.archives:
            options.contexts.add(name=name, archive=True)
        return AsyncBuilding(self._service, options, answers, timeout)

    async def get(self, build: str = "", *, timeout: float | None = None) -> pb.GetResponse:
        """Describe a build, with its steps.

        Args:
            build: Its id, or the beginning of it; empty means the latest one.
            timeout: Seconds.

        Raises:
            BuildNotFound: There is none.
        """
        return await self._service.call("Get", pb.GetRequest(build=build), pb.GetResponse, timeout)

    def events(
        self, build: str = "", *, follow: bool = False, timeout: float | None = None
    ) -> AsyncStream[pb.FollowResponse]:
        """Give the events of a build.

        Args:
            build: Its id, or the beginning of it; empty means the latest one.
            follow: Also those to come, while it runs.
            timeout: Seconds.

        Raises:
            BuildNotFound: There is none.
        """
        request = pb.FollowRequest(build=build, follow=follow)
        return self._service.stream(
            "Follow", request, pb.FollowResponse, timeout, lambda last: None if last else request
        )

    async def stop(self, build: str, *, timeout: float | None = None) -> None:
        """End a running build; one that has ended stays as it is.

        Raises:
            BuildNotFound: There is none.
        """
        await self._service.call("Stop", pb.StopRequest(build=build), pb.StopResponse, timeout)

    async def remove(
        self,
        builds: Iterable[str] = (),
        *,
        all: bool = False,  # noqa: A002  the command line's word
        timeout: float | None = None,
    ) -> list[str]:
        """Delete builds of the history; return their ids.

        Args:
            builds: Ids, or the beginnings of ids.
            all: All that have ended.
            timeout: Seconds.

        Raises:
            BuildNotFound: There is no such build.
            FailedPrecondition: One runs.
        """
        request = pb.RemoveRequest(request_id=request_id(), builds=builds, all=all)
        response = await self._service.call("Remove", request, pb.RemoveResponse, timeout)
        return [*response.removed]

    async def disk_usage(
        self, *, filters: Mapping[str, Sequence[str]] | None = None, timeout: float | None = None
    ) -> list[pb.CacheRecord]:
        """Return what the cache holds, the part that was used last first.

        Args:
            filters: "type", "id", "description", "inuse", "shared", "until".
            timeout: Seconds.
        """
        request = pb.DiskUsageRequest(filters=filters_of(filters))
        response = await self._service.call("DiskUsage", request, pb.DiskUsageResponse, timeout)
        return [*response.records]

    async def prune(
        self,
        *,
        filters: Mapping[str, Sequence[str]] | None = None,
        all: bool = False,  # noqa: A002  the command line's word
        keep_size: int = 0,
        keep_seconds: int = 0,
        max_used_size: int = 0,
        min_free_size: int = 0,
        timeout: float | None = None,
    ) -> pb.PruneResponse:
        """Delete parts of the cache that no build under way uses.

        Args:
            filters: As of `disk_usage`.
            all: Also results whose layers images have: that frees nothing by itself.
            keep_size: Bytes that stay, whatever the other sizes say.
            keep_seconds: What was used in these last seconds stays.
            max_used_size: Bytes to which it is pruned.
            min_free_size: Bytes of the engine's disk that shall be free.
            timeout: Seconds.
        """
        request = pb.PruneRequest(
            request_id=request_id(),
            filters=filters_of(filters),
            all=all,
            keep_size=keep_size,
            keep_seconds=keep_seconds,
            max_used_size=max_used_size,
            min_free_size=min_free_size,
        )
        return await self._service.call("Prune", request, pb.PruneResponse, timeout)

    async def list(
        self, *, filters: Mapping[str, Sequence[str]] | None = None, timeout: float | None = None
    ) -> list[pb.BuildRecord]:
        """Return builds, the newest first.

        Args:
            filters: "status" (running, completed, error, canceled), "id", "name".
            timeout: Seconds.

        Example::

            for build in await client.builds.list():
                print(build.id, build.name)
        """
        found: list[pb.BuildRecord] = []
        token = ""
        while True:
            request = pb.ListRequest(filters=filters_of(filters), page_token=token)
            response = await self._service.call("List", request, pb.ListResponse, timeout)
            found += response.builds
            token = response.next_page_token
            if not token:
                return found


class AsyncBuilding:
    """A build under way: an iterator over what the service tells; what it asks for is answered meanwhile."""

    def __init__(
        self,
        service: AsyncService,
        options: pb.BuildOptions,
        answers: Answers,
        timeout: float | None,
    ) -> None:
        self._service = service
        self._options = options
        self._answers = answers
        self._timeout = timeout
        self._patience = service.link.patience_of(timeout)
        self._duplex: Duplex[pb.BuildResponse] | None = None
        self._accepted = False
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pb.BuildResponse:
        while not self._ended:
            duplex = self._duplex or await self._open()
            try:
                response = await duplex.receive()
            except WireError as error:
                await self._recover(error)
                continue
            if response is None:
                break
            self._accepted = True
            answers = self._answers.to(response)
            if answers is None:
                return response
            while (answer := await following(answers)) is not None:
                await duplex.send(answer)
        self._ended = True
        raise StopAsyncIteration

    async def _open(self) -> Duplex[pb.BuildResponse]:
        self._duplex = self._service.duplex(
            "Build", pb.BuildRequest, pb.BuildResponse, self._timeout
        )
        await self._duplex.send(pb.BuildRequest(open=self._options))
        return self._duplex

    async def _recover(self, error: WireError) -> None:
        """Try again where the service was restarting and the build has not begun; or else raise the error."""
        failure = self._service.link.translate(self._service.name, error)
        waits = not self._accepted and self._service.link.worth_waiting(self._service.name, failure)
        delay = self._patience.next() if waits else None
        self._duplex = None
        if delay is None:
            self._ended = True
            raise failure from None
        await pause(delay)

    async def close(self) -> None:
        """End the call; without effect on one that has ended."""
        self._ended = True
        if self._duplex is not None:
            self._duplex.cancel()
            self._duplex = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _add_caches(answers: Answers, options: pb.BuildOptions) -> None:
    """Add the folders of this machine that caches are read from and written to.

    Raises:
        InvalidArgument: An option that cannot be read.
    """
    try:
        sources = [build_cache.parse_from(text) for text in options.cache_from]
        targets = [build_cache.parse_to(text) for text in options.cache_to]
    except ValueError as error:
        raise InvalidArgument(f"{error}", what="cache", do="see docs/guide/caching.md") from None
    answers.caches = {
        number: source.attributes["src"]
        for number, source in enumerate(sources)
        if source.type == "local"
    }
    answers.cache_folders = {
        len(options.outputs) + number: CacheFolder(target.attributes["dest"], target.tag)
        for number, target in enumerate(targets)
        if target.type == "local"
    }
    answers.optional = {
        len(options.outputs) + number
        for number, target in enumerate(targets)
        if target.is_true("ignore-error")
    }


def _read(directory: str | os.PathLike[str], dockerfile: str) -> bytes:
    path = dockerfile or os.path.join(directory, "Dockerfile")
    with open(path, "rb") as file:
        return file.read()
