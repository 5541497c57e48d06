"""The engine's own nftables table, the watch over it, and connection tracking."""
