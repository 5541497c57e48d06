"""Published ports: checking what is asked for, and holding the side of the host."""
