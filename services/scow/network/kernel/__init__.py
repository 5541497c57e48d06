"""What the kernel is asked for: netlink, namespaces, settings of links. No policy."""
