"""The journal: what happens to pulls and layers, as lines on standard output."""
