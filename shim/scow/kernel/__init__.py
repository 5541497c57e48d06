"""System calls, process identity, mount and path primitives: a leaf that the shim and the services use."""
