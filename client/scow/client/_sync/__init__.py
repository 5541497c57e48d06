"""The sync client: made of scow.client._async by `make sync-client`; not edited."""
