"""What containers use: read from their cgroups and from /proc, with no process beside a container started for it."""
