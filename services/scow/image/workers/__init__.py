"""Worker processes that parse strangers' bytes: `pool` is the service's side, `unpack` the other."""
