"""Results of steps by what they are made of."""
