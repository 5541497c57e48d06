"""Networks."""

from __future__ import annotations

from aiohttp import web

from scow.api.network.v1.network_pb2 import Subnet
from scow.docker.answers import answer, empty
from scow.docker.configuration import attachment
from scow.docker.fields import body_of, query_filters
from scow.docker.state import CLIENT
from scow.words.shapes.network import network_shape
from scow.words.template.values import Struct


async def _list(request: web.Request) -> web.StreamResponse:
    found = await request.app[CLIENT].networks.list(filters=query_filters(request))
    # Containers are told by inspect alone, as in Docker since 1.28.
    return answer([network_shape(each) | {"Containers": Struct()} for each in found])


async def _inspect(request: web.Request) -> web.StreamResponse:
    return answer(network_shape(await request.app[CLIENT].networks.get(request.match_info["name"])))


async def _create(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    addresses = body.part("IPAM")
    made = await request.app[CLIENT].networks.create(
        body.text("Name"),
        driver=body.text("Driver"),
        subnets=[
            Subnet(
                subnet=each.text("Subnet"),
                gateway=each.text("Gateway"),
                ip_range=each.text("IPRange"),
                aux_addresses=each.mapping("AuxiliaryAddresses") or each.mapping("AuxAddress"),
            )
            for each in addresses.objects("Config")
        ],
        ipv6=body.flag("EnableIPv6"),
        internal=body.flag("Internal"),
        attachable=body.flag("Attachable"),
        labels=body.mapping("Labels"),
        options=body.mapping("Options"),
        ipam_driver=addresses.text("Driver"),
        ipam_options=addresses.mapping("Options"),
        scope=body.text("Scope"),
    )
    return answer(Struct(Id=made.network.id, Warning="\n".join(made.warnings)), 201)


async def _remove(request: web.Request) -> web.StreamResponse:
    await request.app[CLIENT].networks.remove(request.match_info["name"])
    return empty()


async def _connect(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    wanted = attachment(request.match_info["name"], body.part("EndpointConfig"))
    await request.app[CLIENT].networks.connect(wanted, body.text("Container"))
    return empty(200)


async def _disconnect(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    await request.app[CLIENT].networks.disconnect(
        request.match_info["name"], body.text("Container"), force=body.flag("Force")
    )
    return empty(200)


async def _prune(request: web.Request) -> web.StreamResponse:
    gone = await request.app[CLIENT].networks.prune(filters=query_filters(request))
    return answer(Struct(NetworksDeleted=gone))


ROUTES = (
    ("GET", "/networks", _list),
    ("POST", "/networks/create", _create),
    ("POST", "/networks/prune", _prune),
    ("GET", "/networks/{name}", _inspect),
    ("DELETE", "/networks/{name}", _remove),
    ("POST", "/networks/{name}/connect", _connect),
    ("POST", "/networks/{name}/disconnect", _disconnect),
)
