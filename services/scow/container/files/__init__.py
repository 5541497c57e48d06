"""The files of containers: what was changed, and copies in and out."""
