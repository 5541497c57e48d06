"""From a configuration to the OCI runtime specification: process, mounts, limits, devices, security."""
