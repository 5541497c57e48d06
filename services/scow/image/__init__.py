"""The image service: images from registries and archives, their blobs and layers, snapshots of them.

What is where, from the outside in::

    service.py     the wire shell
    pull.py        one flight a reference, layers side by side; importing.py: an image from a tar
    images.py      records: get, list, tag, remove;  snapshots/: prepare, release, usage
    registry/      the distribution API: client, authentication, retries
    blobs.py       the content-addressed store and its resumable ingests
    layers.py      unpacked layers: one flight a layer;  unpack/: the worker processes that write them
    store.py       the tables
"""
