"""Pure tracking: observations of a node and a clock in, pulls and totals out."""
