"""Containers as records: their states, names and files, and what a valid configuration is."""
