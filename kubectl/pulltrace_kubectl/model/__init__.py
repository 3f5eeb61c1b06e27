"""What the programs and the API server tell, as values. Pure."""
