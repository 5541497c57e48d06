"""What every service shares: server, errors, configuration, store, journal, owners, metrics."""
