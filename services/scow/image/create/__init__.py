"""Images that are made here: from a tar, from a container's changes, from other manifests."""
