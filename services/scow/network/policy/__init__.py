"""Egress policies: what a container may reach."""
