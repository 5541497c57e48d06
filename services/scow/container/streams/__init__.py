"""Standard input and output: attached sessions and exec sessions."""
