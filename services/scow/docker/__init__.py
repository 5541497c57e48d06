"""Docker's HTTP API, for the `docker` command and everything else that people have; a client of the services.

- `server`: the routes, versions of the API, and errors as Docker's clients know them
- `fields`: the JSON that clients send, taken apart with care
- `configuration`, `mounts`, `resources`: how a container is asked for, as the services' contract has it
- `containers`, `executions`, `files`, `images`, `networks`, `volumes`, `builds`, `engine`: the handlers
- `connection`: connections that carry a container's streams once the request is read
"""
