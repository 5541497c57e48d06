"""Layers: where they are kept, in which form (drivers), how they are unpacked, indexed and made."""
