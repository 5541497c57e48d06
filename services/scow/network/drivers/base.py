"""What a driver is.

A network has a driver, which makes its side of the host and plugs its endpoints. Vocabulary: a **network** is a record
with pools of addresses; an **endpoint** is a record too, an owner's part in a network with its leases; both are written
before a driver is called, and are all that it may rely on: what it keeps in memory is lost with the process.

The life of an endpoint::

    check(network)                  before anything is made: are these options that a network can have
    establish(network)              once, and again whenever it is asked for: the host's side, e.g. a bridge
    attach(network, endpoint)       its links and the inside of its namespace, all of it or nothing
    route(endpoint)                 default routes that lead by it, when another endpoint had them
    is_attached(endpoint)           before an Attach is answered from the record
    detach(endpoint)                cut off at once; what takes long may be deleted later
    remove(network)                 the host's side goes; no endpoint is left
    reconcile(networks, endpoints)  at the start, once a minute, and when somebody damaged something

For example, an Attach that is cut short by a kill after `attach` leaves a record that is not ready. The next process
detaches it, and `reconcile` deletes whatever no record speaks of.

Rules that every driver keeps, and that `tests/integration/network/drivers/suite.py` tests with each:

- `attach` of what is attached already, and `detach` of what is not, change nothing and are no errors.
- After a failed `attach` nothing of the endpoint is left. Its error is LinkFailed or KernelUnsupported.
- `reconcile` touches what belongs to its engine alone, leaves endpoints alone whose namespace has gone, and finds
  nothing to do the second time.
- Where drivers differ they say so by `capabilities`; nobody asks for their names.

Publishing ports, firewall rules and the files that name hosts are not a driver's work: see `ports`, `firewall`, `dns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.network.ipam.addresses import Pool
from scow.network.ipam.plan import Choice
from scow.network.store import Endpoint, Network


@dataclass(frozen=True)
class Capabilities:
    """What a driver's endpoints have.

    Attributes:
        namespace: A network namespace of their own, apart from the host's.
        addresses: A link, and an address of each pool of the network; without pools the driver chooses addresses.
        linked: A link in the host, which is their gateway.
        ports: Ports of the host can lead to them: the engine's own work where they are linked, the driver's where not.
        prompt: What it is asked for takes moments. Else it may take long, and is done while others go on; see `Driver`.
    """

    namespace: bool
    addresses: bool
    linked: bool
    ports: bool
    prompt: bool = True

    @property
    def judged(self) -> bool:
        """Whether all that they send passes the host's rules for bridges, where policies are; or they send nothing."""
        return self.linked or (self.namespace and not self.addresses)


class Driver(Protocol):
    """See above. Calls are made one after another: the domain holds a lock.

    To a driver that is not prompt only the calls about one owner are, and `reconcile` meets no others about endpoints
    that it was given as ready.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What its endpoints have; the same for as long as the engine runs."""

    def check(self, network: Network) -> list[str]:
        """Check what a network that is about to be made asks for; return warnings.

        Raises:
            InvalidArgument: An option that no network of this driver can have.
            KernelUnsupported: The kernel lacks what is needed.
        """

    async def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        """Make a network's side of the host; return the pools that it has from now on.

        Args:
            network: As it is recorded, or is about to be.
            choice: Returns its pools, given what the host has to do with; called while no other engine chooses.

        Raises:
            SubnetFull: No subnet is free.
            SubnetInUse: One overlaps another network's.
            LinkFailed: Somebody else's link is in the way.
            KernelUnsupported: The kernel lacks what is needed.
        """

    async def attach(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """Plug an endpoint; return it, with the addresses that it got where the driver chooses them itself.

        Args:
            network: Of the endpoint.
            endpoint: With its leases, its routers, and the namespace that it is to be in.

        Raises:
            LinkFailed: The namespace is gone, or the kernel refuses.
            KernelUnsupported: The kernel lacks what is needed.
        """

    async def route(self, endpoint: Endpoint) -> None:
        """Make an attached endpoint's routers those of its namespace, in place of what was there.

        Raises:
            LinkFailed: The namespace is gone, or the kernel refuses.
        """

    async def is_attached(self, endpoint: Endpoint) -> bool:
        """Tell whether what `attach` made in the host is there."""

    async def detach(self, endpoint: Endpoint, at_once: bool = False) -> None:
        """Cut an endpoint off.

        Args:
            endpoint: Of this driver.
            at_once: Whether all of it must be gone on return, for a namespace that lives on. Else its end may take the
                links along.
        """

    async def remove(self, network: Network) -> None:
        """Take a network's side of the host away; it is not an error when it is not there."""

    async def reconcile(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint]
    ) -> list[ReconcileAction]:
        """Make what is missing of this driver's networks and endpoints, delete what no record speaks of.

        Args:
            networks: All that are of this driver.
            endpoints: All that are in these networks.

        Returns:
            What was done.
        """

    async def close(self) -> None:
        """Finish what was put off; endpoints stay as they are."""
