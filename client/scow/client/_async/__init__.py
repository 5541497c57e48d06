"""The async client, and the source of the sync one: `make sync-client` makes scow.client._sync of it."""
