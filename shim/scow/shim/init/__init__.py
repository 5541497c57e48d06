"""A container's first process, from its fork into namespaces to execve(2)."""
