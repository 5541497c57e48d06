"""Content-addressed blobs and the resumable ingests that become blobs."""
