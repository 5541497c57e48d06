"""Images: lists, pulls and pushes, archives."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aiohttp import web

from scow.api.image.v1.image_pb2 import LayerProgress, PullResponse
from scow.contract.errors import InvalidArgument, ScowError
from scow.docker.answers import Messages, answer
from scow.docker.auth import auth_of
from scow.docker.bodies import Body
from scow.docker.fields import query_filters, query_flag, query_number
from scow.docker.state import CLIENT
from scow.words.references import familiar, with_tag
from scow.words.shapes.common import listing_or_nil, nanoseconds
from scow.words.shapes.image import image_shape
from scow.words.shapes.summary import image_summary
from scow.words.template.values import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import BinaryIO

_PHASES = {
    LayerProgress.PHASE_WAITING: "Pulling fs layer",
    LayerProgress.PHASE_DOWNLOADING: "Downloading",
    LayerProgress.PHASE_VERIFYING: "Verifying Checksum",
    LayerProgress.PHASE_UNPACKING: "Extracting",
    LayerProgress.PHASE_DONE: "Pull complete",
    LayerProgress.PHASE_EXISTS: "Already exists",
}
_PUSH_PHASES = {
    LayerProgress.PHASE_WAITING: "Preparing",
    LayerProgress.PHASE_DONE: "Pushed",
    LayerProgress.PHASE_EXISTS: "Layer already exists",
    LayerProgress.PHASE_UPLOADING: "Pushing",
    LayerProgress.PHASE_MOUNTED: "Mounted from another repository",
}
_WITH_BAR = (
    LayerProgress.PHASE_DOWNLOADING,
    LayerProgress.PHASE_UNPACKING,
    LayerProgress.PHASE_UPLOADING,
)


async def _list(request: web.Request) -> web.StreamResponse:
    client = request.app[CLIENT]
    sizes = query_flag(request, "shared-size")
    found = await client.images.list(
        all=query_flag(request, "all"), filters=query_filters(request), sizes=sizes
    )
    return answer([image_summary(image, sizes=sizes) for image in found])


async def _inspect(request: web.Request) -> web.StreamResponse:
    return answer(image_shape(await request.app[CLIENT].images.details(_name(request))))


async def _history(request: web.Request) -> web.StreamResponse:
    found = await request.app[CLIENT].images.details(_name(request))
    tags = [familiar(each) for each in found.image.references]
    steps = [
        Struct(
            Id="<missing>",
            Created=nanoseconds(step, "created_at") // 1_000_000_000,
            CreatedBy=step.created_by,
            Tags=listing_or_nil(()),
            Size=step.size,
            Comment=step.comment,
        )
        for step in reversed(found.history)
    ]
    if steps:
        steps[0] |= {"Id": found.image.id, "Tags": listing_or_nil(tags)}
    return answer(steps)


def _name(request: web.Request) -> str:
    return request.match_info["name"]


async def _create(request: web.Request) -> web.StreamResponse:
    """Pull an image, or import a tar."""
    query = request.query
    if query.get("fromSrc"):
        return await _import(request)
    name, tag = query.get("fromImage", ""), query.get("tag", "")
    if not name:
        raise InvalidArgument("no image is named", what="parameter", which="fromImage")
    reference = (f"{name}@{tag}" if ":" in tag else f"{name}:{tag}") if tag else name
    client, messages = request.app[CLIENT], Messages(request)
    progress = client.images.pull_progress(
        reference, platform=query.get("platform", ""), auth=auth_of(request)
    )
    try:
        async with progress:
            await _tell_pull(progress, with_tag(reference), messages)
    except ScowError as error:
        await messages.fail(error)
    return await messages.end()


async def _tell_pull(
    progress: AsyncIterator[PullResponse], reference: str, messages: Messages
) -> None:
    fetched, digest = False, ""
    async for message in progress:
        kind = message.WhichOneof("message")
        if kind == "resolved":
            digest = message.resolved.partition("@")[2]
            repository, _, tag = familiar(reference).rpartition(":")
            await messages.send(status=f"Pulling from {repository or tag}", id=tag)
        elif kind == "layer":
            fetched |= message.layer.phase != LayerProgress.PHASE_EXISTS
            await messages.send(**_layer(message.layer, _PHASES))
    if digest:
        await messages.send(status=f"Digest: {digest}")
    words = "Downloaded newer image for" if fetched else "Image is up to date for"
    await messages.send(status=f"Status: {words} {familiar(reference)}")


def _layer(
    layer: LayerProgress, words: Mapping[LayerProgress.Phase.ValueType, str]
) -> dict[str, object]:
    message: dict[str, object] = {"status": words.get(layer.phase, "Waiting")}
    if layer.phase in _WITH_BAR and layer.total > 0:
        message["progressDetail"] = {"current": layer.current, "total": layer.total}
    else:
        message["progressDetail"] = {}
    return {**message, "id": layer.digest.partition(":")[2][:12]}


async def _import(request: web.Request) -> web.StreamResponse:
    query, client = request.query, request.app[CLIENT]
    repository, tag = query.get("repo", ""), query.get("tag", "")
    reference = f"{repository}:{tag}" if repository and tag else repository
    changes = query.getall("changes", [])
    source = query["fromSrc"]
    messages = Messages(request)
    if source == "-":
        image = await client.images.import_tar(
            cast("BinaryIO", Body(request)),
            reference,
            message=query.get("message", ""),
            changes=changes,
            platform=query.get("platform", ""),
        )
    else:
        image = await client.images.import_url(
            source,
            reference,
            message=query.get("message", ""),
            changes=changes,
            platform=query.get("platform", ""),
        )
    await messages.send(status=image.id)
    return await messages.end()


async def _push(request: web.Request) -> web.StreamResponse:
    name, tag = _name(request), request.query.get("tag", "")
    reference = f"{name}:{tag}" if tag else name
    client, messages = request.app[CLIENT], Messages(request)
    progress = client.images.push_progress(reference, auth=auth_of(request))
    await client.images.get(reference)
    await messages.send(status=f"The push refers to repository [{name}]")
    try:
        async with progress:
            async for message in progress:
                if message.WhichOneof("message") == "layer":
                    await messages.send(**_layer(message.layer, _PUSH_PHASES))
                else:
                    done, tag = message.result, tag or "latest"
                    aux = {"Tag": tag, "Digest": done.digest, "Size": done.size}
                    await messages.send(status=f"{tag}: digest: {done.digest} size: {done.size}")
                    await messages.send(progressDetail={}, aux=aux)
    except ScowError as error:
        await messages.fail(error)
    return await messages.end()


async def _tag(request: web.Request) -> web.StreamResponse:
    repository, tag = request.query.get("repo", ""), request.query.get("tag", "")
    reference = f"{repository}:{tag}" if tag else repository
    await request.app[CLIENT].images.tag(_name(request), reference)
    return web.Response(status=201)


async def _remove(request: web.Request) -> web.StreamResponse:
    gone = await request.app[CLIENT].images.remove(
        _name(request), force=query_flag(request, "force")
    )
    untagged = [Struct(Untagged=familiar(each)) for each in gone.untagged]
    return answer([*untagged, *(Struct(Deleted=each) for each in gone.deleted)])


async def _prune(request: web.Request) -> web.StreamResponse:
    done = await request.app[CLIENT].store.prune(filters=query_filters(request))
    untagged = [Struct(Untagged=familiar(each)) for each in done.untagged]
    gone = [*untagged, *(Struct(Deleted=each) for each in done.deleted)]
    return answer(Struct(ImagesDeleted=gone or None, SpaceReclaimed=done.space_reclaimed))


async def _search(request: web.Request) -> web.StreamResponse:
    found = await request.app[CLIENT].images.search(
        request.query.get("term", ""),
        limit=query_number(request, "limit"),
        filters=query_filters(request),
        auth=auth_of(request),
    )
    return answer(
        [
            Struct(
                star_count=each.stars,
                is_official=each.official,
                name=each.name,
                is_automated=False,
                description=each.description,
            )
            for each in found
        ]
    )


async def _save(request: web.Request) -> web.StreamResponse:
    names = request.query.getall("names", []) or [request.match_info.get("name", "")]
    if not any(names):
        raise InvalidArgument("no image is named", what="parameter", which="names")
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
    async with request.app[CLIENT].images.save_stream(names) as archive:
        async for message in archive:
            if not response.prepared:
                await response.prepare(request)
            await response.write(message.chunk)
    await response.write_eof()
    return response


async def _load(request: web.Request) -> web.StreamResponse:
    messages = Messages(request)
    source = cast("BinaryIO", Body(request))
    try:
        for image in await request.app[CLIENT].images.load(source):
            names = [f"Loaded image: {familiar(each)}\n" for each in image.references]
            for line in names or [f"Loaded image ID: {image.id}\n"]:
                await messages.send(stream=line)
    except ScowError as error:
        await messages.fail(error)
    return await messages.end()


ROUTES = (
    ("GET", "/images/json", _list),
    ("POST", "/images/create", _create),
    ("POST", "/images/prune", _prune),
    ("GET", "/images/search", _search),
    ("GET", "/images/get", _save),
    ("POST", "/images/load", _load),
    ("GET", "/images/{name:.+}/get", _save),
    ("GET", "/images/{name:.+}/json", _inspect),
    ("GET", "/images/{name:.+}/history", _history),
    ("POST", "/images/{name:.+}/push", _push),
    ("POST", "/images/{name:.+}/tag", _tag),
    ("DELETE", "/images/{name:.+}", _remove),
)
