"""Builds that ran or run, and what happened in them."""
