"""The HTTP side of the embedded registry: listeners, connections, routes, errors, file responses."""
