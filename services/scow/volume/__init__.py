"""The volume service: volumes and their drivers, who uses them, and what a container asks to have mounted."""
