"""Tables, progress and inspect output."""
