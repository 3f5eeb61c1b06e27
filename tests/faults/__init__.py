"""Faults in a seeded order, one at a time, under pulls on the real daemons: `make faults`."""
