"""RUN: a program in a container made of the stack, and what it changed as a layer.

The container is like one of `scow run`: the container service makes it, with the same confinement. It is named by the
build in a label; one that a killed service left is removed when the service starts again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from scow.api.build.v1 import build_pb2 as pb
from scow.api.container.v1 import container_pb2
from scow.api.image.v1 import layer_pb2
from scow.build.frontend.steps import RunStep
from scow.build.graph import devices, limits
from scow.build.graph.devices import Device
from scow.build.graph.flights import Listeners
from scow.build.graph.keys import Stack, key_of
from scow.build.peers.containers import LABEL, Containers
from scow.build.peers.layers import Layers
from scow.contract.errors import BuildFailed, DeadlineExceeded, NotFound

_log = structlog.get_logger()
# Set from outside for the network alone: what they are makes no difference to the result.
PROXIES = frozenset(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)


@dataclass(frozen=True)
class Mounted:
    """What is mounted for a step.

    Attributes:
        mounts: Of the container.
        env: Further variables.
        points: Paths that the runtime makes to mount upon.
        env_files: Files with the values of secret variables.
    """

    mounts: tuple[container_pb2.MountSpec, ...] = ()
    env: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    env_files: Mapping[str, str] = field(default_factory=dict)


def key(step: RunStep, stack: Stack, options: pb.BuildOptions, mounted: Sequence[object]) -> str:
    """Return the key of a step; `mounted` is what counts of its mounts."""
    env = [
        pair
        for pair in step.env
        if not (pair.partition("=")[0] in PROXIES and pair.partition("=")[0] in step.build_args)
    ]
    return key_of(
        "run.1",
        stack,
        list(step.args),
        env,
        step.user,
        step.workdir,
        limits.network(step.network, options),
        step.security,
        list(step.devices),
        [(script.name, script.content) for script in step.scripts],
        list(mounted),
        *limits.dated(options),
    )


def stack_configuration(
    stack: Sequence[layer_pb2.Layer], platform: str, config: Mapping[str, object] | None = None
) -> bytes:
    """Return the configuration of an image that is a stack and nothing else."""
    os, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    value = {
        "architecture": architecture,
        "os": os,
        **({"variant": variant} if variant else {}),
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]},
    }
    return json.dumps(value, separators=(",", ":")).encode()


class Runner:
    """Runs programs.

    Args:
        layers: Who keeps layers.
        containers: Who makes containers.
        at_once: How many programs run at the same time.
        allowed: What steps may ask for beyond what every container has, "security.insecure".
    """

    def __init__(
        self,
        layers: Layers,
        containers: Containers,
        at_once: int,
        allowed: Collection[str] = (),
    ) -> None:
        self._allowed = frozenset(allowed)
        self._layers = layers
        self._containers = containers
        self._slots = asyncio.Semaphore(at_once)
        # Containers that are being removed, by the build that they were made for.
        self._removals: dict[str, set[asyncio.Task[None]]] = {}
        # Those that are there now; a step may go on for another build than the one that began it.
        self.active: set[str] = set()

    def check(self, step: RunStep, options: pb.BuildOptions) -> None:
        """Check that a step may have what it asks for, also when its result is in the cache; see `limits`."""
        limits.is_insecure(step, options, self._allowed)
        devices.wanted(step, options, self._allowed)

    def _remove(self, container: str, build: str) -> None:
        """Remove a container while the build goes on."""
        task = asyncio.create_task(self._containers.remove(container))
        self._removals.setdefault(build, set()).add(task)
        task.add_done_callback(lambda _: self.active.discard(container))

    async def settle(self, build: str) -> None:
        """Wait until all containers of a build are gone; one that stays is removed by reconciliation."""
        tasks = self._removals.pop(build, set())
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException):
                _log.warning("a container of a build is not removed", error=str(outcome))

    async def run(
        self,
        step: RunStep,
        stack: Stack,
        platform: str,
        options: pb.BuildOptions,
        mounted: Mounted,
        build: str,
        label: str,
        listeners: Listeners,
    ) -> layer_pb2.CommitLayerResponse:
        """Run a step's program; return the layer of what it changed, and its lease.

        Args:
            step: The step.
            stack: What it is done upon.
            platform: Of the stage.
            options: Of the build.
            mounted: What is mounted.
            build: Id of the build.
            label: Of the layer's lease.
            listeners: Who is told what it writes.

        Raises:
            BuildFailed: It ended with another code than 0.
            DeadlineExceeded: It took longer than a RUN may.
            ScowError: What the other services say.
        """
        async with self._slots:
            image = await self._layers.make_image(
                layer_pb2.MakeImageRequest(
                    layers=stack, configuration=stack_configuration(stack, platform), transient=True
                )
            )
            config = _config(step, image.id, options, mounted, build)
            if limits.is_insecure(step, options, self._allowed):
                # All privileges are those of the host's root, whatever the engine's containers have by default.
                config.privileged, config.userns_mode = True, "host"
            container = await self._created_with(
                config, devices.wanted(step, options, self._allowed)
            )
            self.active.add(container)
            try:
                seconds = options.run_seconds or None
                try:
                    async with asyncio.timeout(seconds):
                        await self._attached(container, step, listeners)
                except BuildFailed as error:
                    if options.keep_failed:
                        points = await self._made_points(stack, mounted.points)
                        error.metadata["image"] = await self._failed(
                            container, step, stack, platform, points, label
                        )
                    raise
                except TimeoutError:
                    raise DeadlineExceeded(
                        f"the program ran for more than {seconds} seconds",
                        what="step",
                        which=step.title,
                    ) from None
                points = await self._made_points(stack, mounted.points)
                return await self._layers.commit(
                    f"container/{container}", label, points, limits.latest_ns(options)
                )
            finally:
                self._remove(container, build)

    async def _failed(
        self,
        container: str,
        step: RunStep,
        stack: Stack,
        platform: str,
        points: Sequence[bytes],
        label: str,
    ) -> str:
        """Make an image of what a step left that failed; return its id. What was mounted is not in it."""
        left = await self._layers.commit(f"container/{container}", label, points)
        layers = [*stack, left.layer] if left.HasField("layer") else list(stack)
        config = {
            "Env": list(step.env),
            "WorkingDir": step.workdir,
            "Cmd": ["/bin/sh"],
            **({"User": step.user} if step.user else {}),
        }
        image = await self._layers.make_image(
            layer_pb2.MakeImageRequest(
                layers=layers, configuration=stack_configuration(layers, platform, config)
            )
        )
        if left.lease:
            await self._layers.release(left.lease)
        return image.id

    async def _created_with(
        self, config: container_pb2.ContainerConfig, wanted: Sequence[Device]
    ) -> str:
        """Make a container with those of the devices that are there.

        Raises:
            NotFound: One that is required is not.
        """
        left = list(wanted)
        while True:
            config.cdi_devices[:] = [device.name for device in left]
            try:
                return await self._created(config)
            except NotFound as error:
                name = error.metadata.get("which", "")
                missing = [device for device in left if device.name == name]
                if error.metadata.get("what") != "device" or not missing:
                    raise
                if any(device.is_required for device in missing):
                    raise
                left = [device for device in left if device.name != name]

    async def _created(self, config: container_pb2.ContainerConfig) -> str:
        """Make a container; when the build is cancelled meanwhile, it does not stay."""
        creating = asyncio.ensure_future(self._containers.create(config, secrets.token_hex(16)))
        try:
            return (await asyncio.shield(creating)).id
        except asyncio.CancelledError:
            creating.add_done_callback(self._unwanted)
            await asyncio.wait([creating])
            if not creating.cancelled() and creating.exception() is None:
                await self._containers.remove(creating.result().id)
            raise

    @staticmethod
    def _unwanted(creating: asyncio.Future[container_pb2.Container]) -> None:
        if not creating.cancelled():
            creating.exception()

    async def _attached(self, container: str, step: RunStep, listeners: Listeners) -> None:
        code = -1
        async for message in self._containers.run(container):
            kind = message.WhichOneof("message")
            if kind == "stdout":
                listeners.log(message.stdout, 1)
            elif kind == "stderr":
                listeners.log(message.stderr, 2)
            elif kind == "exit":
                code = message.exit.code
                if message.exit.oom_killed:
                    listeners.log(
                        b"the kernel ended a process: the limit of memory was reached\n", 2
                    )
        if code != 0:
            raise BuildFailed(
                f'process "{" ".join(step.args)}" did not complete successfully: exit code: {code}',
                what="step",
                which=step.title,
                exit_code=str(code),
            )

    async def _made_points(self, stack: Stack, points: Sequence[str]) -> list[bytes]:
        """Return which mount points, and directories that lead there, the stack does not have."""
        paths = {
            b"/" + b"/".join(parts[:end])
            for parts in map(_parts, points)
            for end in range(1, len(parts) + 1)
        }
        wanted = sorted(paths)
        if not wanted:
            return []
        found = await self._layers.look_up(stack, wanted)
        return [each.file.path for each in found if not each.file.mode]


def _parts(path: str) -> list[bytes]:
    return [part for part in path.encode().split(b"/") if part]


def _config(
    step: RunStep, image: str, options: pb.BuildOptions, mounted: Mounted, build: str
) -> container_pb2.ContainerConfig:
    config = container_pb2.ContainerConfig(
        image=image,
        entrypoint=step.args[:1],
        command=step.args[1:],
        override_entrypoint=True,
        env=[*step.proxies, *step.env, *mounted.env],
        env_files=mounted.env_files,
        working_dir=step.workdir,
        user=step.user,
        labels={LABEL: build},
        network=limits.network(step.network, options),
        mounts=mounted.mounts,
        log=container_pb2.LogConfig(driver="none"),
        hostname="buildkitsandbox",
    )
    limits.apply(config, options)
    return config
