"""The image service: images from registries and archives, their blobs and layers, snapshots of them.

What is where, from the outside in::

    service.py, archive_service.py, store_service.py, registry/service.py    the wire shells
    __main__.py, parts.py, keeping.py     the wiring

    pull.py, push.py                      one flight a reference;  fetching.py: blobs;  unfinished.py: cut pulls
    indexes.py, elsewhere.py              what an index at a registry names; indexing.py: indexes that are made here
    importing.py, committing.py           images of tars, of snapshots;  changes.py, words.py, derive.py: what they say
    archives/                             load and save;  registry/: the client side of registries
    serving/                              the registry that this service is itself
    trust/                                which images may be pulled and run

    images.py, listing.py, removal.py     images as records;  records.py: what has arrived, in one transaction
    snapshots.py, snapshotting.py         file systems of containers;  unpacking.py: layers when they are first needed
    gc.py, leases.py, pruning.py          what goes and what stays;  watermarks.py: when the disk fills up
    checking.py, repairing.py             what is damaged;  quarantine.py: where it goes;  reconcile.py: leftovers
    usage.py, describing.py               what is told of images

    blobs.py                              the content-addressed store and its resumable ingests
    layers.py                             layers;  drivers/: the forms in which they are kept
    unpack/, erofs/, diffs/               the worker processes: layers to files, to indexes, and files to layers
    store.py, rows.py, reading.py         the tables;  queries.py: the longer queries
    manifests.py, reference.py, platforms.py, digests.py    the words of OCI
    flights.py, together.py, progress.py  work that is shared, done side by side, told of
"""
