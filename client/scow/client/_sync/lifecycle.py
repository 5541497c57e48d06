"""The life of containers: from creation to removal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1 import limits_pb2
from scow.api.container.v1.supervision_pb2 import RestartPolicy
from scow.api.types.v1.types_pb2 import PortMapping
from scow.client._link import request_id
from scow.client._options import ContainerOptions, build_config, mount_of, ports_of
from scow.client._sync.service import Service
from scow.contract.errors import ContainerNotFound, ScowError, from_wire


class Lifecycle:
    """The part of Containers that changes containers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def create(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        name: str = "",
        timeout: float | None = None,
        **options: Unpack[ContainerOptions],
    ) -> pb.Container:
        """Record a container and prepare its file system and volumes; nothing runs.

        Args:
            image: Reference or id of an image that is there.
            command: Arguments in place of the image's CMD.
            name: Empty: one is made up.
            timeout: Seconds.
            options: See ContainerOptions.

        Raises:
            ImageNotFound, NetworkNotFound, VolumeNotFound: What it needs is not there.
            NameInUse: Another container has the name.
            InvalidPort, InvalidMount: A text has not the form it must have.

        Example::

            job = client.containers.create("busybox", ["date"], memory=64 << 20)
            client.containers.start(job.id)
        """
        config = build_config(image, command, **options)
        return (self.create_from(config, name=name, timeout=timeout)).container

    def create_from(
        self, config: pb.ContainerConfig, *, name: str = "", timeout: float | None = None
    ) -> pb.CreateResponse:
        """Create a container from a configuration message; the result also has the warnings.

        Example::

            config = ContainerConfig(image="busybox", command=["date"])
            print((client.containers.create_from(config)).warnings)
        """
        request = pb.CreateRequest(request_id=request_id(), name=name, config=config)
        return self._service.call("Create", request, pb.CreateResponse, timeout)

    def preflight(
        self, config: pb.ContainerConfig, *, name: str = "", timeout: float | None = None
    ) -> Sequence[ScowError]:
        """Tell all that a creation, and the start after it, would refuse as things are; nothing is made.

        Args:
            config: What would be created.
            name: That it would have.
            timeout: Seconds.

        Returns:
            The errors that would be raised, each once; none when nothing would be refused.

        Example::

            for problem in client.containers.preflight(ContainerConfig(image="busybox")):
                print(problem.reason, problem)
        """
        request = pb.PreflightRequest(name=name, config=config)
        found = self._service.call("Preflight", request, pb.PreflightResponse, timeout)
        return [from_wire(p.code, p.message, p.SerializeToString()) for p in found.problems]

    def start(self, container: str, *, timeout: float | None = None) -> pb.Container:
        """Execute a container's process. Starting a running one changes nothing.

        Raises:
            CommandNotFound, CommandNotExecutable: The command cannot be executed.
            AddressInUse: A host port is taken.

        Example::

            print((client.containers.start("web")).pid)
        """
        request = pb.StartRequest(request_id=request_id(), container=container)
        return (self._service.call("Start", request, pb.StartResponse, timeout)).container

    def stop(
        self,
        container: str,
        *,
        grace: int | None = None,
        signal: str = "",
        timeout: float | None = None,
    ) -> pb.Container:
        """Send the stop signal, wait, then kill. Stopping a stopped one changes nothing.

        Args:
            container: Which one.
            grace: Seconds before SIGKILL; None means the container's own; -1 means never.
            signal: Name or number; empty means the container's own.
            timeout: Seconds for the whole call.

        Example::

            print((client.containers.stop("web", grace=3)).exit_code)
        """
        request = pb.StopRequest(
            request_id=request_id(), container=container, timeout=grace, signal=signal
        )
        return (self._service.call("Stop", request, pb.StopResponse, timeout)).container

    def restart(
        self,
        container: str,
        *,
        grace: int | None = None,
        signal: str = "",
        timeout: float | None = None,
    ) -> pb.Container:
        """Stop a container, then start it; arguments are those of `stop`, errors those of `start`.

        Example::

            client.containers.restart("web")
        """
        request = pb.RestartRequest(
            request_id=request_id(), container=container, timeout=grace, signal=signal
        )
        response = self._service.call("Restart", request, pb.RestartResponse, timeout)
        return response.container

    def rename(self, container: str, name: str, *, timeout: float | None = None) -> pb.Container:
        """Give a container another name, also while it runs; its networks know the new one at once.

        Args:
            container: Name or id.
            name: That it is called from now on.
            timeout: Seconds.

        Raises:
            NameInUse: Another container has the name.
            InvalidName: The name does not follow the rules, or is the one that it has.
            ContainerBusy: It is being made or removed.

        Example::

            client.containers.rename("web", "web-old")
        """
        request = pb.RenameRequest(request_id=request_id(), container=container, name=name)
        return (self._service.call("Rename", request, pb.RenameResponse, timeout)).container

    def update(
        self,
        container: str,
        resources: pb.Resources | None = None,
        *,
        restart_policy: RestartPolicy | None = None,
        timeout: float | None = None,
    ) -> limits_pb2.UpdateResponse:
        """Change limits and the restart policy, at once when the container runs, and for each start from then on.

        Args:
            container: Which one.
            resources: Limits in place of those that it has; a field that is not set is left as it is.
            restart_policy: In place of the one that it has; None leaves it.
            timeout: Seconds.

        Raises:
            InvalidConfig: Limits contradict each other, the machine, or what the container has.
            KernelUnsupported: The kernel does not have one of them.
            ContainerBusy: It is being made or removed.

        Example::

            client.containers.update("web", Resources(memory=64 << 20, pids_limit=100))
        """
        request = limits_pb2.UpdateRequest(
            request_id=request_id(),
            container=container,
            resources=resources,
            restart_policy=restart_policy,
        )
        return self._service.call(
            "LimitsService/Update", request, limits_pb2.UpdateResponse, timeout
        )

    def kill(self, container: str, signal: str = "", *, timeout: float | None = None) -> None:
        """Send a signal.

        Args:
            container: Which one.
            signal: Name or number; empty means SIGKILL.
            timeout: Seconds.

        Raises:
            ContainerNotRunning: It does not run.

        Example::

            client.containers.kill("web", "HUP")
        """
        request = pb.KillRequest(request_id=request_id(), container=container, signal=signal)
        self._service.call("Kill", request, pb.KillResponse, timeout)

    def publish(
        self,
        container: str,
        ports: Iterable[PortMapping | str],
        *,
        timeout: float | None = None,
    ) -> pb.Container:
        """Publish further ports, at once when the container runs, and with each start from then on.

        Args:
            container: Which one.
            ports: Messages, or the texts of Docker's `-p`, "8080:80".
            timeout: Seconds.

        Raises:
            InvalidPort: One cannot be meant.
            AddressInUse: One is taken; then none of them is published.

        Example::

            client.containers.publish("web", ["8443:443"])
        """
        request = pb.PublishPortsRequest(
            request_id=request_id(), container=container, ports=ports_of(ports)
        )
        response = self._service.call("PublishPorts", request, pb.PublishPortsResponse, timeout)
        return response.container

    def unpublish(
        self,
        container: str,
        ports: Iterable[PortMapping | str],
        *,
        timeout: float | None = None,
    ) -> pb.Container:
        """Take published ports back; connections that are there go on.

        Args:
            container: Which one.
            ports: As for `publish`; "80" alone means each that leads to port 80.
            timeout: Seconds.

        Raises:
            PortNotPublished: One is not published like that; then nothing has changed.

        Example::

            client.containers.unpublish("web", ["443"])
        """
        request = pb.UnpublishPortsRequest(
            request_id=request_id(), container=container, ports=ports_of(ports)
        )
        response = self._service.call("UnpublishPorts", request, pb.UnpublishPortsResponse, timeout)
        return response.container

    def attach_mount(
        self, container: str, mount: pb.MountSpec | str, *, timeout: float | None = None
    ) -> pb.MountPoint:
        """Give a container one more mount, at once when it runs, and with each start from then on.

        Args:
            container: Name or id.
            mount: A message, or the text of Docker's `-v`, "data:/var/lib/data:ro".
            timeout: Seconds.

        Raises:
            InvalidMount: Something is mounted there already, or the request contradicts itself.
            BindSourceNotFound: There is no such path on the host.
            VolumeInUse: The volume has one writer already.
            MountFailed: The kernel refuses it.

        Example::

            client.containers.attach_mount("web", "data:/data:ro")
        """
        request = pb.AttachMountRequest(
            request_id=request_id(), container=container, mount=mount_of(mount)
        )
        response = self._service.call("AttachMount", request, pb.AttachMountResponse, timeout)
        return response.mount

    def detach_mount(
        self, container: str, target: str, *, force: bool = False, timeout: float | None = None
    ) -> None:
        """Take a mount of a container away.

        Args:
            container: Name or id.
            target: Where it is in the container.
            force: Also while processes use it: it is gone with the last file that is open in it.
            timeout: Seconds.

        Raises:
            MountNotFound: The container has no such mount.
            MountBusy: Processes use it.

        Example::

            client.containers.detach_mount("web", "/data")
        """
        request = pb.DetachMountRequest(
            request_id=request_id(), container=container, target=target, force=force
        )
        self._service.call("DetachMount", request, pb.DetachMountResponse, timeout)

    def top(
        self, container: str, ps_args: Sequence[str] = (), *, timeout: float | None = None
    ) -> pb.TopResponse:
        """List the processes of a running container with the host's ps(1).

        Args:
            container: Name or id.
            ps_args: Options of ps; none mean "-ef".
            timeout: Seconds.

        Raises:
            ContainerNotRunning: It does not run.
            InvalidArgument: ps refuses the options, or prints no PIDs with them.

        Example::

            for process in (client.containers.top("web", ["-o", "pid,args"])).processes:
                print(*process.values)
        """
        request = pb.TopRequest(container=container, ps_args=ps_args)
        return self._service.call("Top", request, pb.TopResponse, timeout)

    def pause(self, container: str, *, timeout: float | None = None) -> None:
        """Freeze every process of a container.

        Raises:
            ContainerNotRunning: It does not run.

        Example::

            client.containers.pause("web")
        """
        request = pb.PauseRequest(request_id=request_id(), container=container)
        self._service.call("Pause", request, pb.PauseResponse, timeout)

    def unpause(self, container: str, *, timeout: float | None = None) -> None:
        """Thaw every process of a container.

        Raises:
            ContainerNotRunning: It does not run.

        Example::

            client.containers.unpause("web")
        """
        request = pb.UnpauseRequest(request_id=request_id(), container=container)
        self._service.call("Unpause", request, pb.UnpauseResponse, timeout)

    def wait(
        self,
        container: str,
        condition: pb.WaitCondition.ValueType = pb.WAIT_CONDITION_NOT_RUNNING,
        *,
        timeout: float | None = None,
    ) -> pb.WaitResponse:
        """Wait until a condition is met, and return the exit code.

        Args:
            container: Which one.
            condition: By default that it does not run, also because it never ran or has ended.
            timeout: Seconds.

        Raises:
            DeadlineExceeded: The timeout passed.

        Example::

            print((client.containers.wait("job")).exit_code)
        """
        request = pb.WaitRequest(container=container, condition=condition)
        return self._service.call("Wait", request, pb.WaitResponse, timeout)

    def wait_removed(self, container: str, *, timeout: float | None = None) -> None:
        """Wait until a container is removed; return at once if there is no such container.

        Args:
            container: Its id; a name could be another's by then.
            timeout: Seconds.

        Raises:
            DeadlineExceeded: The timeout passed.

        Example::

            client.containers.wait_removed(job.id, timeout=10)
        """
        try:
            self.wait(container, pb.WAIT_CONDITION_REMOVED, timeout=timeout)
        except ContainerNotFound:
            return

    def remove(
        self,
        container: str,
        *,
        force: bool = False,
        volumes: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Remove a container and give back all it held.

        Args:
            container: Which one.
            force: Kill it first when it runs.
            volumes: Remove its anonymous volumes too.
            timeout: Seconds.

        Raises:
            ContainerRunning: It runs, and `force` is not set.

        Example::

            client.containers.remove("web", force=True)
        """
        request = pb.RemoveRequest(
            request_id=request_id(), container=container, force=force, volumes=volumes
        )
        self._service.call("Remove", request, pb.RemoveResponse, timeout)
