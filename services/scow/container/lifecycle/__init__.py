"""The life of a container: create, start, kill, exit, remove, and recovery after a crash."""
