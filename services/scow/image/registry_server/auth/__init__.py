"""Users, tokens and access rules of the embedded registry."""
