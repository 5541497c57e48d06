"""Bandwidth limits that change while a container runs; see `rates`."""

from __future__ import annotations

from dataclasses import replace

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import NotConnected
from scow.core.store import Store
from scow.network import options, rates, requests
from scow.network.endpoints import Endpoints
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.options import RATE_IN, RATE_OUT
from scow.network.store import Endpoint, NetworkStore


class Limits:
    """Sets and changes limits."""

    def __init__(
        self, store: Store, networks: Networks, endpoints: Endpoints, worker: Worker
    ) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._networks = networks
        self._endpoints = endpoints
        self._worker = worker

    async def change(self, request: pb.LimitRequest) -> pb.LimitResponse:
        """Change the limits of an owner's endpoint; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        requests.check_owner(request.owner)
        async with self._endpoints.lock:
            network = self._networks.get(request.network)
            endpoint = self._find(request.owner, network.id)
            wanted = {RATE_IN: request.rate_in, RATE_OUT: request.rate_out}
            given = {**endpoint.options, **{key: rate for key, rate in wanted.items() if rate}}
            changed = replace(endpoint, options=given)
            options.rates(given)
            await self._worker.run(rates.apply, changed)
            with self._store.transaction() as tx:
                self._rows.set_endpoint_options(tx, changed)
            return pb.LimitResponse()

    def _find(self, owner: str, network_id: str) -> Endpoint:
        for endpoint in self._rows.endpoints_of(owner):
            if endpoint.network_id == network_id and endpoint.link:
                return endpoint
        raise NotConnected(
            f"{owner} has no link in this network whose bandwidth could be limited",
            what="owner",
            which=owner,
            do="name a network of the driver bridge that it is in",
        )
