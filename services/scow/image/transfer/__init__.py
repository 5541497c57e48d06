"""Images to and from registries: pull, push, the fetching of blobs, indexes."""
