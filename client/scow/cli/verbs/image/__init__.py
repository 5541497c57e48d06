"""Verbs of images and registries."""
