"""scowd: starts every service of one engine on one machine, and supervises them."""
