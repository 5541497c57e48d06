"""A container's file system as an image or archive: commit and export."""
