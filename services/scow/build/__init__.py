"""The build service: images from Dockerfiles.

It is a client of the other services: the image service keeps layers and makes images of them, the container service
runs what RUN says. It mounts nothing and makes no namespaces. Its rooms:

| room | what |
|---|---|
| `frontend/` | the language: from a Dockerfile to stages whose steps are ready |
| `graph/` | stages and steps: what is needed, side by side, each once |
| `cache/` | results of steps by what they are made of |
| `context/` | files of the client: what is sent, and kept to be sent once |
| `export/` | what becomes of a result |
| `attestation/` | what is said about a result: provenance, SBOM |
| `history/` | builds that ran, and their events |
| `peers/` | the other services, as this one sees them |
"""
