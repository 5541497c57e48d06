"""The OCI runtime specification's config.json, read into types."""
