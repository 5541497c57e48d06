"""Drivers: how a network and its endpoints come to be in the kernel."""
