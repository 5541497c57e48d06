"""The builder: makes a container's cgroup, namespaces and waiting init, starts it, and ends."""
