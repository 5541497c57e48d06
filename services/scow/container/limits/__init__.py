"""Limits and restart policies of containers that are there: what can be changed, and how."""
