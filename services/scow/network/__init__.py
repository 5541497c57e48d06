"""The network service: networks, addresses, links, published ports, and the files that name hosts."""
