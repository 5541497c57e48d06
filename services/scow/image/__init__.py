"""The image service: images from registries and archives, their blobs and layers, snapshots of them.

What is where, from the outside in::

    service.py     the wire shell
    pull.py        one flight a reference, layers side by side; importing.py: an image from a tar
    images.py      records: get, list, tag, remove;  snapshots.py: prepare, release, usage
    registry/      the distribution API: client, authentication, retries
    blobs.py       the content-addressed store and its resumable ingests
    layers.py      layers;  drivers/: the forms in which they are kept
    unpack/        the worker processes that read layers, and write files;  erofs/: indexes instead of files
    store.py       the tables
"""
