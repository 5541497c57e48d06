"""Addresses: which subnet a network gets, and which address of it an endpoint."""
