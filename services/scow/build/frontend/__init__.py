"""The way from a Dockerfile to what the graph runs: `plan` finds stages and bases, `evaluation` makes steps of them."""
