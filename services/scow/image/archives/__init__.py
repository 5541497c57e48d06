"""Archives of images: Docker's and OCI layouts, read and written.

What is where, from the outside in::

    loading.py        all images of an archive become images here, or none
    receiving.py      the archive comes through a worker, whose part is splitter.py;  archive.py: its files
    ocilayout.py, dockerarchive.py    what it says that it holds;  plan.py: what it is found to hold
    saving.py         blobs stream into an archive;  selection.py: which;  layout.py: documents;  tarring.py: its bytes
    plainlayers.py    layers that Docker would not read otherwise
    download.py       the source of an import;  expanding.py: the worker's part of them;  pipes.py: the way to workers
"""
