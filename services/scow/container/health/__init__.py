"""Whether containers are well: what is checked, by whom, when, and what follows."""
