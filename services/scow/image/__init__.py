"""The image service: images from registries and archives, their blobs and layers, snapshots of them.

The rooms, from the outside in::

    rpc/                 the wire shells;  __main__, wiring, maintenance: how the parts are put together
    transfer/            pull, push, and what both fetch;  create/: import, commit, manifest create
    archives/            load and save
    registry_client/     registries that images come from and go to
    registry_server/     the registry that this service is itself
    trust/               which images may be pulled and run
    catalog/             images as records: lists, search, removal
    snapshots/           writable file systems of containers
    gc/                  what stays and what goes: leases, collection, prune, watermarks, disk usage
    integrity/           checks and repairs;  reconcile: leftovers
    layers/              layers, the drivers that keep them (overlay, erofs), unpacking, changes as layers
    workers/             the processes that parse strangers' bytes
    content/             the content-addressed store and its resumable ingests
    metadata/            the tables
    oci/                 manifests, references, platforms
"""
