"""The terminal, standard streams and files."""
