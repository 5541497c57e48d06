"""Names: the files resolv.conf, hosts and hostname of a container."""
