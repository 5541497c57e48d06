"""Logs: options, files across rotations, records in order."""
