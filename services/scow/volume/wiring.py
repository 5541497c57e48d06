"""The parts of the volume service, put together."""

from __future__ import annotations

import grpc

from scow.api.volume.v1.archive_pb2_grpc import add_ArchiveServiceServicer_to_server
from scow.api.volume.v1.backup_pb2_grpc import add_BackupServiceServicer_to_server
from scow.api.volume.v1.plugin_pb2_grpc import add_PluginServiceServicer_to_server
from scow.api.volume.v1.quota_pb2_grpc import add_QuotaServiceServicer_to_server
from scow.api.volume.v1.snapshot_pb2_grpc import add_SnapshotServiceServicer_to_server
from scow.api.volume.v1.volume_pb2_grpc import add_VolumeServiceServicer_to_server
from scow.core.server import Context, Wiring
from scow.volume import drivers
from scow.volume.archives.archives import Archives
from scow.volume.archives.rpc import ArchiveServicer
from scow.volume.backup.backups import Backups
from scow.volume.backup.retention import Retention
from scow.volume.backup.rpc import BackupServicer
from scow.volume.directories import Directories
from scow.volume.holds import Holds
from scow.volume.new_volumes import NewVolumes
from scow.volume.peers.container import Containers
from scow.volume.plugins.plugins import Plugins
from scow.volume.plugins.rpc import PluginServicer
from scow.volume.quotas.quotas import Quotas
from scow.volume.quotas.rpc import QuotaServicer
from scow.volume.reconcile import Reconciliation
from scow.volume.rpc import VolumeServicer
from scow.volume.snapshots.clones import Clones
from scow.volume.snapshots.folders import SnapshotFolders
from scow.volume.snapshots.replaced_content import ReplacedContent
from scow.volume.snapshots.rpc import SnapshotServicer
from scow.volume.snapshots.snapshots import Snapshots
from scow.volume.staging import Staging
from scow.volume.use_lock import UseLock
from scow.volume.volumes import Volumes


def make(context: Context) -> Wiring:
    """Make the parts."""
    base = context.config.data("volume")
    store, journal, requests = context.store, context.journal, context.requests
    directories = Directories(base)
    plugins = Plugins(context.config.volume, store, journal)
    volumes = Volumes(store, journal, drivers.make(directories, plugins))
    quotas = Quotas(store, journal, volumes)
    staging = Staging(base, directories)
    containers = Containers(context.peers)
    use_lock = UseLock(volumes.rows, containers)
    holds = Holds(volumes, directories, use_lock, quotas.apply)
    folders = SnapshotFolders(base, directories)
    former = ReplacedContent(store, folders, containers)
    snapshots = Snapshots(
        store, journal, volumes, directories, folders, staging, use_lock, former, quotas
    )
    new_volumes = NewVolumes(volumes, directories)
    clones = Clones(snapshots, new_volumes, directories, folders, staging, use_lock)
    reconciliation = Reconciliation(
        context.peers, directories, volumes, holds, snapshots, former, staging, quotas
    )
    servicer = VolumeServicer(volumes, holds, directories, reconciliation, journal, requests)
    archives = Archives(context.config.volume, snapshots, new_volumes, directories, staging)
    archive_servicer = ArchiveServicer(archives, requests)
    backups = Backups(context.peers, snapshots, archives, directories, staging, use_lock)
    backup_servicer = BackupServicer(backups, Retention(context.peers), requests)
    plugin_servicer = PluginServicer(plugins, volumes.rows, reconciliation, requests)
    quota_servicer = QuotaServicer(quotas, volumes, requests)
    snapshot_servicer = SnapshotServicer(snapshots, clones, directories, requests)

    def register(server: grpc.aio.Server) -> None:
        add_VolumeServiceServicer_to_server(servicer, server)
        add_SnapshotServiceServicer_to_server(snapshot_servicer, server)
        add_ArchiveServiceServicer_to_server(archive_servicer, server)
        add_BackupServiceServicer_to_server(backup_servicer, server)
        add_PluginServiceServicer_to_server(plugin_servicer, server)
        add_QuotaServiceServicer_to_server(quota_servicer, server)

    return Wiring(
        register=register,
        reconcile=reconciliation.run,
        close=staging.close,
        more=(
            "SnapshotService",
            "ArchiveService",
            "BackupService",
            "PluginService",
            "QuotaService",
        ),
    )
