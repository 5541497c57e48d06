"""Snapshots: the writable file systems of containers on top of images."""
