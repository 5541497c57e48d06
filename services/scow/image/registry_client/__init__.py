"""The client side of the OCI distribution API.

What is where, from the outside in::

    service.py        the wire shell
    client.py         gives what talks to one registry
    pulling.py        manifests and blobs from the first endpoint that has them;  uploads.py: blobs and manifests to one
    catalogue.py      repositories, tags, referrers
    hosts.py          which endpoints, in which order;  hoststoml.py: containerd's files;  endpoints.py: what one is
    session.py        one repository at one endpoint, with its credentials;  patience.py: another try
    http.py           requests;  auth.py: authorization;  tls.py: CAs and certificates;  filepart.py: bodies of uploads
    problems.py       what goes wrong, as errors with names
"""
