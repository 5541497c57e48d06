"""Checks of blobs, layers and records, and their repair."""
