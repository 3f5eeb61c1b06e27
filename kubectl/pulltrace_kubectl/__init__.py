"""`kubectl pulltrace`: how far the images of a pod are, at the terminal. A client of `/v1/pulls`, and nothing else."""
