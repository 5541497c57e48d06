"""The servicers: wire shells that validate and call the domain."""
