"""The spawner and the shims, as the container service sees them."""
