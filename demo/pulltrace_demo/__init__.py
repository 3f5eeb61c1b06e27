"""`make demo`: the programs at work on stand-ins, or on a real containerd, seen through the client."""
