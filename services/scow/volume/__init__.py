"""The volume service: named volumes, and what a container asks to have mounted."""
