"""The prober: one process an engine that makes connections inside containers' network namespaces."""
