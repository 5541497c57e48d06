"""Exec sessions as objects that are listed, inspected, killed and removed."""
