"""What stays and what goes: leases, garbage collection, prune, watermarks, disk usage."""
