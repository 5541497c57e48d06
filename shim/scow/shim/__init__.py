"""The spawner and the per-container shim: the only code that makes namespaces and cgroups."""

VERSION = "0.1.0"
