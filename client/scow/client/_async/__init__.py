"""The async client. `make sync-client` generates the sync client, scow.client._sync, from it."""
