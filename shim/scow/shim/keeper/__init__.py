"""What stays beside a container: its stdio, log, exit record."""
