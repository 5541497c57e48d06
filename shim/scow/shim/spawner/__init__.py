"""The spawner: it has the shim's code loaded and forks one shim a container; it mounts layers once for all."""
