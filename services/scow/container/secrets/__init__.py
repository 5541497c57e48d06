"""Secrets: kept encrypted, given to containers as files on a tmpfs."""
