"""What the exporter costs and how fast it is, on the real program. Nothing here judges: targets stand beside."""
