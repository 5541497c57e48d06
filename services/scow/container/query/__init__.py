"""Questions about containers: lists with filters, inspect, wait."""
