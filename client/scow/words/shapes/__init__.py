"""Docker's shapes: what `inspect` prints, made of the contracts' messages, and nothing else."""
