"""Verbs of the whole engine, and those that take any object."""
