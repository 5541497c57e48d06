"""The OCI and Docker formats: manifests, configurations, platforms, references."""
