"""An image, as `docker image inspect` has it."""

from __future__ import annotations

from scow.api.image.v1.image_pb2 import ImageConfig
from scow.words.references import familiar
from scow.words.shapes.common import listing_or_nil, mapping_or_nil, set_of, time_of
from scow.words.template.values import NilList, NilMap, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.image.v1.image_pb2 import GetResponse, Healthcheck


def image_shape(details: GetResponse) -> Struct:
    """Return an image in Docker's shape."""
    image = details.image
    shape = Struct(
        Id=image.id,
        RepoTags=[familiar(reference) for reference in image.references],
        RepoDigests=[familiar(digest) for digest in image.repo_digests],
        Parent="",
        Comment=image.comment,
        Created=time_of(image, "created_at"),
        Container="",
        ContainerConfig=_config(ImageConfig()),
        DockerVersion=image.docker_version,
        Author=image.author,
        Config=_config(image.config),
        Architecture=image.platform.architecture,
    )
    if image.platform.variant:
        shape["Variant"] = image.platform.variant
    shape |= {
        "Os": image.platform.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": Struct(Data=NilMap(), Name="overlay"),
        "RootFS": Struct(Type="layers", Layers=listing_or_nil(image.diff_ids)),
        "Metadata": Struct(LastTagTime=time_of(image, "pulled_at")),
        "Descriptor": _descriptor(details.index or details.manifest),
    }
    if image.pinned:
        shape["Pinned"] = True
    if image.damaged:
        shape["Damaged"] = list(image.damaged)
    return shape


def _descriptor(document: bytes) -> Struct:
    """Return what leads to a manifest or index: its type, digest and size."""
    import hashlib
    import json

    value = json.loads(document) if document else {}
    kind = "index" if "manifests" in value else "manifest"
    return Struct(
        mediaType=value.get("mediaType") or f"application/vnd.oci.image.{kind}.v1+json",
        digest=f"sha256:{hashlib.sha256(document).hexdigest()}",
        size=len(document),
    )


def _config(config: ImageConfig) -> Struct:
    """Return a configuration; Docker's has the fields of containers too, empty."""
    shape = Struct(
        Hostname="",
        Domainname="",
        User=config.user,
        AttachStdin=False,
        AttachStdout=False,
        AttachStderr=False,
    )
    if config.exposed_ports:
        shape["ExposedPorts"] = set_of(config.exposed_ports)
    shape |= {
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": listing_or_nil(config.env),
        "Cmd": listing_or_nil(config.cmd),
    }
    if config.HasField("healthcheck"):
        shape["Healthcheck"] = _healthcheck(config.healthcheck)
    shape |= {
        "Image": "",
        "Volumes": set_of(config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": listing_or_nil(config.entrypoint),
        "OnBuild": listing_or_nil(config.on_build),
        "Labels": mapping_or_nil(config.labels),
    }
    if config.stop_signal:
        shape["StopSignal"] = config.stop_signal
    if config.shell:
        shape["Shell"] = list(config.shell)
    return shape


def _healthcheck(check: Healthcheck) -> Struct:
    shape = Struct(
        Test=list(check.test) or NilList(),
        Interval=check.interval,
        Timeout=check.timeout,
        StartPeriod=check.start_period,
        Retries=check.retries,
    )
    if check.start_interval:
        shape["StartInterval"] = check.start_interval
    return shape
