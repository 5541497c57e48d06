"""The client side of the OCI distribution API: `client` asks, `http` carries, `auth` authorizes."""
