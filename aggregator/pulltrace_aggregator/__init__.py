"""The program for the cluster: which pods wait for which image, for how long, and what blocks them."""
