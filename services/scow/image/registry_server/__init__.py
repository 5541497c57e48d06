"""The embedded registry: serves what the image service holds by the OCI distribution API, version 1.1.

What is where, from the outside in::

    server.py         starts and stops it; listening.py: addresses and TLS; doors.py: connections
    routing.py        routes; middleware: errors as the specification writes them, log lines, figures
    authorization.py  who may do what: none, basic, token;  users.py, access.py, tokens.py
    blobs.py          reading and deleting blobs;  uploading.py: the requests of an upload, uploads.py: their state
    manifests.py      reading, writing and deleting manifests
    catalogue.py      lists: repositories, tags, referrers
    repositories.py   what a repository has, by the tables;  names.py: what a path means

A repository is not a record: it has what its names, digests and fresh pushes lead to. What was pushed and is named by
nothing yet has a lease "push/REPOSITORY@DIGEST", an upload under way a lease "upload/ID".
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""
