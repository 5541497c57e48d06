"""The tables: their schema, queries over them, rows as plain data, and the one place that records what has arrived."""
