"""The Python client of scow: typed, with an async and a sync face of the same methods.

Example::

    from scow.client import Client

    with Client() as client:
        print(client.containers.run("busybox", ["echo", "hello"], auto_remove=True).stdout)

The messages that methods return are those of scow.api (plain typed data); errors are the classes of
scow.contract.errors, also reachable as `scow.client.errors`. Everything public is in `__all__` and is
imported when it is first used, so that `import scow.client` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.client._async.backups import AsyncBackups
    from scow.client._async.builds import AsyncBuilding, AsyncBuilds
    from scow.client._async.client import AsyncClient
    from scow.client._async.containers import AsyncContainers
    from scow.client._async.events import AsyncEvents
    from scow.client._async.images import AsyncImages
    from scow.client._async.logs import AsyncLogs
    from scow.client._async.manifests import AsyncManifests
    from scow.client._async.networks import AsyncNetworks
    from scow.client._async.plugins import AsyncPlugins
    from scow.client._async.secrets import AsyncSecrets
    from scow.client._async.session import AsyncAttachment, AsyncExecution
    from scow.client._async.snapshots import AsyncSnapshots
    from scow.client._async.store import AsyncStore
    from scow.client._async.stream import AsyncStream
    from scow.client._async.volumes import AsyncVolumes
    from scow.client._context import ContextDirectory
    from scow.client._link import DEFAULT_HOST, traceparent
    from scow.client._options import ContainerOptions
    from scow.client._results import EngineEvent, ExecResult, RunResult
    from scow.client._sync.backups import Backups
    from scow.client._sync.builds import Building, Builds
    from scow.client._sync.client import Client
    from scow.client._sync.containers import Containers
    from scow.client._sync.events import Events
    from scow.client._sync.images import Images
    from scow.client._sync.logs import Logs
    from scow.client._sync.manifests import Manifests
    from scow.client._sync.networks import Networks
    from scow.client._sync.plugins import Plugins
    from scow.client._sync.secrets import Secrets
    from scow.client._sync.session import Attachment, Execution
    from scow.client._sync.snapshots import Snapshots
    from scow.client._sync.store import Store
    from scow.client._sync.stream import Stream
    from scow.client._sync.volumes import Volumes
    from scow.client.credentials import Credentials, CredentialStore
    from scow.contract import errors

__all__ = [
    "DEFAULT_HOST",
    "AsyncAttachment",
    "AsyncBackups",
    "AsyncBuilding",
    "AsyncBuilds",
    "AsyncClient",
    "AsyncContainers",
    "AsyncEvents",
    "AsyncExecution",
    "AsyncImages",
    "AsyncLogs",
    "AsyncManifests",
    "AsyncNetworks",
    "AsyncPlugins",
    "AsyncSecrets",
    "AsyncSnapshots",
    "AsyncStore",
    "AsyncStream",
    "AsyncVolumes",
    "Attachment",
    "Backups",
    "Building",
    "Builds",
    "Client",
    "ContainerOptions",
    "Containers",
    "ContextDirectory",
    "CredentialStore",
    "Credentials",
    "EngineEvent",
    "Events",
    "ExecResult",
    "Execution",
    "Images",
    "Logs",
    "Manifests",
    "Networks",
    "Plugins",
    "RunResult",
    "Secrets",
    "Snapshots",
    "Store",
    "Stream",
    "Volumes",
    "errors",
    "traceparent",
]

_HOMES = {
    "DEFAULT_HOST": "_link",
    "traceparent": "_link",
    "ContainerOptions": "_options",
    "EngineEvent": "_results",
    "ExecResult": "_results",
    "RunResult": "_results",
    "CredentialStore": "credentials",
    "Credentials": "credentials",
    "ContextDirectory": "_context",
    "Client": "_sync.client",
    "Builds": "_sync.builds",
    "Building": "_sync.builds",
    "AsyncBuilds": "_async.builds",
    "AsyncBuilding": "_async.builds",
    "Containers": "_sync.containers",
    "Events": "_sync.events",
    "Images": "_sync.images",
    "Logs": "_sync.logs",
    "Manifests": "_sync.manifests",
    "Networks": "_sync.networks",
    "Backups": "_sync.backups",
    "Plugins": "_sync.plugins",
    "Secrets": "_sync.secrets",
    "Snapshots": "_sync.snapshots",
    "Volumes": "_sync.volumes",
    "Store": "_sync.store",
    "Stream": "_sync.stream",
    "Attachment": "_sync.session",
    "Execution": "_sync.session",
    "AsyncClient": "_async.client",
    "AsyncContainers": "_async.containers",
    "AsyncEvents": "_async.events",
    "AsyncImages": "_async.images",
    "AsyncLogs": "_async.logs",
    "AsyncManifests": "_async.manifests",
    "AsyncNetworks": "_async.networks",
    "AsyncBackups": "_async.backups",
    "AsyncPlugins": "_async.plugins",
    "AsyncSecrets": "_async.secrets",
    "AsyncSnapshots": "_async.snapshots",
    "AsyncVolumes": "_async.volumes",
    "AsyncStore": "_async.store",
    "AsyncStream": "_async.stream",
    "AsyncAttachment": "_async.session",
    "AsyncExecution": "_async.session",
}


def __getattr__(name: str) -> object:
    if name == "errors":
        value: object = __import__("scow.contract.errors", fromlist=["ScowError"])
    elif name in _HOMES:
        value = getattr(__import__(f"scow.client.{_HOMES[name]}", fromlist=[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
