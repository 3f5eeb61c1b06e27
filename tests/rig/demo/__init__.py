"""`make demo`: the exporter at work, on a stand-in for containerd or on a real one, seen in a terminal."""
