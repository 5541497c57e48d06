"""The network service, as a client sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from scow.api.container.v1.container_pb2 import (
    ConnectRequest,
    ConnectResponse,
    Container,
    DisconnectRequest,
    DisconnectResponse,
    GetRequest,
    GetResponse,
    LimitNetworkRequest,
    LimitNetworkResponse,
    NetworkAttachment,
)
from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.client._async.service import AsyncService
from scow.client._async.stream import AsyncStream
from scow.client._link import request_id
from scow.client._options import Filters, attachment_of, filters_of
from scow.client._watch import resume_watch

_Networks = list[pb.Network]
_Actions = list[ReconcileAction]
_Names = list[str]
_Statistics = list[pb.InterfaceStatistics]


class AsyncNetworks:
    """Networks.

    Example::

        bridge = await client.networks.get("bridge")
        print(bridge.subnets[0].subnet)
    """

    def __init__(self, service: AsyncService, containers: Callable[[], AsyncService]) -> None:
        self._service = service
        self._containers = containers

    async def create(
        self,
        name: str,
        *,
        driver: str = "",
        subnets: Iterable[pb.Subnet | str] = (),
        ipv6: bool = False,
        ipv4: bool = True,
        internal: bool = False,
        attachable: bool = False,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        ipam_driver: str = "",
        ipam_options: Mapping[str, str] | None = None,
        scope: str = "",
        timeout: float | None = None,
    ) -> pb.CreateResponse:
        """Make a network.

        Args:
            name: Letters, digits, "_", "." and "-".
            driver: Empty means "bridge".
            subnets: CIDRs, or messages with gateway and range; free ones are chosen where there are none.
            ipv6: Give it a subnet of IPv6 too.
            ipv4: Give it one of IPv4.
            internal: No way out of it.
            attachable: Kept for those who ask.
            labels: Free keys and values.
            options: Of the driver, "com.docker.network.driver.mtu".
            ipam_driver: Empty means "default".
            ipam_options: Kept for those who ask.
            scope: Empty means "local".
            timeout: Seconds.

        Returns:
            The network, and warnings about options that have no effect.

        Raises:
            NameInUse: Another network has the name.
            SubnetInUse: A subnet overlaps one of another network.
            SubnetFull: No subnet is free.
            InvalidArgument: An address is invalid, or not in its subnet.

        Example::

            made = await client.networks.create("front", subnets=["10.77.0.0/24"])
            print(made.network.bridge)
        """
        given = [pb.Subnet(subnet=each) if isinstance(each, str) else each for each in subnets]
        request = pb.CreateRequest(
            request_id=request_id(),
            name=name,
            driver=driver,
            subnets=given,
            ipv6=ipv6,
            without_ipv4=not ipv4,
            internal=internal,
            attachable=attachable,
            labels=labels,
            options=options,
            ipam_driver=ipam_driver,
            ipam_options=ipam_options,
            scope=scope,
        )
        return await self._service.call("Create", request, pb.CreateResponse, timeout)

    async def remove(self, network: str, *, timeout: float | None = None) -> None:
        """Delete a network.

        Args:
            network: Name or id.
            timeout: Seconds.

        Raises:
            NetworkNotFound: No such network.
            NetworkInUse: A running container is in it.
            NetworkBuiltIn: It is one that every engine has.

        Example::

            await client.networks.remove("front")
        """
        request = pb.RemoveRequest(request_id=request_id(), network=network)
        await self._service.call("Remove", request, pb.RemoveResponse, timeout)

    async def prune(
        self, *, filters: Filters | None = None, timeout: float | None = None
    ) -> _Names:
        """Delete the networks that no running container is in; return their names.

        Args:
            filters: "until", "label", "label!".
            timeout: Seconds.

        Raises:
            InvalidFilter: An unknown key, or a value that it does not take.

        Example::

            print(await client.networks.prune(filters={"until": "24h"}))
        """
        request = pb.PruneRequest(request_id=request_id(), filters=filters_of(filters))
        response = await self._service.call("Prune", request, pb.PruneResponse, timeout)
        return [*response.removed]

    async def connect(
        self,
        network: NetworkAttachment | str,
        container: str,
        *,
        timeout: float | None = None,
    ) -> Container:
        """Put a container into a further network, at once when it runs and else with its next start.

        Args:
            network: Name or id, "name=front,alias=web", or a message.
            container: Name or id.
            timeout: Seconds.

        Raises:
            NetworkNotFound, ContainerNotFound: No such one.
            EndpointExists: The container is in the network.
            AddressInUse: An address that was asked for is taken.

        Example::

            await client.networks.connect("name=front,alias=web", "box")
        """
        request = ConnectRequest(
            request_id=request_id(), container=container, attachment=attachment_of(network)
        )
        service = self._containers()
        return (await service.call("Connect", request, ConnectResponse, timeout)).container

    async def disconnect(
        self, network: str, container: str, *, force: bool = False, timeout: float | None = None
    ) -> None:
        """Take a container out of a network.

        Args:
            network: Name or id.
            container: Name or id.
            force: A container that is unknown or not in it is not an error.
            timeout: Seconds.

        Raises:
            NetworkNotFound, ContainerNotFound: No such one.
            NotConnected: The container is not in the network.

        Example::

            await client.networks.disconnect("front", "box")
        """
        request = DisconnectRequest(
            request_id=request_id(), container=container, network=network, force=force
        )
        await self._containers().call("Disconnect", request, DisconnectResponse, timeout)

    async def limit(
        self,
        container: str,
        network: str = "",
        *,
        rate_in: str = "",
        rate_out: str = "",
        timeout: float | None = None,
    ) -> None:
        """Change the bandwidth that a container has in a network, at once when it runs, and for each start later.

        Args:
            container: Name or id.
            network: Name or id; empty means the first one that it is in.
            rate_in: What it may get, "10mbit"; "0" means no limit, empty that it stays as it is.
            rate_out: What it may send.
            timeout: Seconds.

        Raises:
            NotConnected: The container is not in the network.
            InvalidArgument: A rate is none.

        Example::

            await client.networks.limit("box", rate_in="10mbit")
        """
        request = LimitNetworkRequest(
            request_id=request_id(),
            container=container,
            network=network,
            rate_in=rate_in,
            rate_out=rate_out,
        )
        await self._containers().call("LimitNetwork", request, LimitNetworkResponse, timeout)

    async def policy(self, container: str, *, timeout: float | None = None) -> pb.Policy:
        """Return what a container may reach, and what was counted.

        Args:
            container: Name or id.
            timeout: Seconds.

        Raises:
            PolicyNotFound: It has no policy.

        Example::

            print((await client.networks.policy("box")).default_packets)
        """
        request = pb.GetPolicyRequest(owner=await self._owner(container, timeout))
        response = await self._service.call("GetPolicy", request, pb.GetPolicyResponse, timeout)
        return response.policy

    async def set_policy(
        self,
        container: str,
        default: str,
        rules: Iterable[pb.PolicyRule] = (),
        *,
        timeout: float | None = None,
    ) -> None:
        """Say what a container may reach from now on, in all its networks and lives.

        Args:
            container: Name or id.
            default: "allow" or "deny", for what no rule is about.
            rules: The first one that is about a connection decides.
            timeout: Seconds.

        Raises:
            InvalidArgument: A rule cannot be meant.

        Example::

            rule = PolicyRule(action="allow", to="dns:*.example.org", port=443)
            await client.networks.set_policy("box", "deny", [rule])
        """
        owner = await self._owner(container, timeout)
        policy = pb.Policy(owner=owner, default_action=default, rules=rules)
        request = pb.SetPolicyRequest(policy=policy)
        await self._service.call("SetPolicy", request, pb.SetPolicyResponse, timeout)

    async def remove_policy(self, container: str, *, timeout: float | None = None) -> None:
        """Let a container reach everything again.

        Args:
            container: Name or id.
            timeout: Seconds.

        Example::

            await client.networks.remove_policy("box")
        """
        request = pb.RemovePolicyRequest(owner=await self._owner(container, timeout))
        await self._service.call("RemovePolicy", request, pb.RemovePolicyResponse, timeout)

    async def _owner(self, container: str, timeout: float | None) -> str:
        """Return what the network service calls a container."""
        request = GetRequest(container=container)
        found = await self._containers().call("Get", request, GetResponse, timeout)
        return f"container/{found.container.id}"

    async def get(self, network: str, *, timeout: float | None = None) -> pb.Network:
        """Describe one network and who is attached.

        Args:
            network: Name or id.
            timeout: Seconds.

        Raises:
            NetworkNotFound: No such network.

        Example::

            print((await client.networks.get("bridge")).endpoints)
        """
        request = pb.GetRequest(network=network)
        return (await self._service.call("Get", request, pb.GetResponse, timeout)).network

    async def list(
        self, *, filters: Filters | None = None, timeout: float | None = None
    ) -> _Networks:
        """Describe all networks.

        Args:
            filters: "name", "id", "driver", "label", "scope", "type", "dangling"; values of one key are alternatives.
            timeout: Seconds for each page.

        Raises:
            InvalidFilter: An unknown key.

        Example::

            for network in await client.networks.list():
                print(network.name, network.driver)
        """
        networks: _Networks = []
        request = pb.ListRequest(filters=filters_of(filters))
        while True:
            response = await self._service.call("List", request, pb.ListResponse, timeout)
            networks.extend(response.networks)
            if not response.next_page_token:
                return networks
            request.page_token = response.next_page_token

    async def statistics(self, container_id: str, *, timeout: float | None = None) -> _Statistics:
        """Return what has passed a container's interfaces, for each of its networks.

        Args:
            container_id: Its whole id.
            timeout: Seconds.

        Example::

            for each in await client.networks.statistics(container.id):
                print(each.network, each.rx_bytes, each.tx_bytes)
        """
        request = pb.StatisticsRequest(owner=f"container/{container_id}")
        response = await self._service.call("Statistics", request, pb.StatisticsResponse, timeout)
        return [*response.interfaces]

    async def cni_add(
        self,
        network: str,
        container_id: str,
        netns_path: str,
        *,
        interface: str = "",
        args: Mapping[str, str] | None = None,
        capabilities: str = "",
        timeout: float | None = None,
    ) -> pb.CniAddResponse:
        """Attach the namespace at a path to the network of a CNI configuration.

        Args:
            network: Name of the configuration.
            container_id: Names the container to plugins.
            netns_path: Absolute.
            interface: Of the link in there; empty means eth0.
            args: CNI_ARGS.
            capabilities: An object of JSON, {"portMappings": [...]}.
            timeout: Seconds.

        Raises:
            NetworkNotFound: No such configuration.
            InvalidCniConfig: The configuration cannot be read.
            CniFailed: A plugin fails; then nothing is left of it.

        Example::

            made = await client.networks.cni_add("pod", "sandbox-1", "/run/netns/sandbox-1")
            print(made.addresses)
        """
        request = pb.CniAddRequest(
            network=network,
            container_id=container_id,
            netns_path=netns_path,
            interface=interface,
            args=args,
            capabilities=capabilities,
        )
        return await self._service.call("CniAdd", request, pb.CniAddResponse, timeout)

    async def cni_del(
        self,
        network: str,
        container_id: str,
        *,
        interface: str = "",
        timeout: float | None = None,
    ) -> None:
        """Take back what `cni_add` made; what is not attached is no error.

        Raises:
            CniFailed: A plugin fails; it can be done again.

        Example::

            await client.networks.cni_del("pod", "sandbox-1")
        """
        request = pb.CniDelRequest(network=network, container_id=container_id, interface=interface)
        await self._service.call("CniDel", request, pb.CniDelResponse, timeout)

    async def cni_check(
        self,
        network: str,
        container_id: str,
        *,
        interface: str = "",
        timeout: float | None = None,
    ) -> None:
        """Have plugins compare an attachment with what they made.

        Raises:
            CniFailed: It is not whole, or not there.

        Example::

            await client.networks.cni_check("pod", "sandbox-1")
        """
        request = pb.CniCheckRequest(
            network=network, container_id=container_id, interface=interface
        )
        await self._service.call("CniCheck", request, pb.CniCheckResponse, timeout)

    async def cni_status(self, network: str, *, timeout: float | None = None) -> None:
        """Ask plugins whether they can attach containers.

        Raises:
            CniFailed: One cannot, or is missing.

        Example::

            await client.networks.cni_status("pod")
        """
        request = pb.CniStatusRequest(network=network)
        await self._service.call("CniStatus", request, pb.CniStatusResponse, timeout)

    async def cni_gc(self, network: str, *, timeout: float | None = None) -> _Names:
        """Take back what `cni_add` made for namespaces that have gone; return the containers' ids.

        Raises:
            CniFailed: A plugin fails; it can be done again.

        Example::

            print(await client.networks.cni_gc("pod"))
        """
        request = pb.CniGcRequest(network=network)
        response = await self._service.call("CniGc", request, pb.CniGcResponse, timeout)
        return [*response.removed]

    async def reconcile(self, *, timeout: float | None = None) -> _Actions:
        """Compare records with links, rules and owners now, and tell what was done.

        Example::

            print(await client.networks.reconcile())
        """
        request = pb.ReconcileRequest()
        response = await self._service.call("Reconcile", request, pb.ReconcileResponse, timeout)
        return [*response.actions]

    def watch(
        self,
        from_revision: int = 0,
        *,
        filters: Filters | None = None,
        timeout: float | None = None,
    ) -> AsyncStream[pb.WatchResponse]:
        """Replay the journal, then follow it; goes on where it was after a restart.

        Args:
            from_revision: First revision to deliver; 0 means only what comes from now on.
            filters: "type", "object", "action" and the like.
            timeout: Seconds for all of it.

        Example::

            async with client.networks.watch(1) as events:
                async for message in events:
                    print(message.event.action, message.event.object_id)
        """
        request = pb.WatchRequest(from_revision=from_revision, filters=filters_of(filters))
        return self._service.stream(
            "Watch", request, pb.WatchResponse, timeout, lambda last: resume_watch(request, last)
        )
