"""Unpacking of layers in processes of their own: `pool` is the service's side, `worker` the other."""
