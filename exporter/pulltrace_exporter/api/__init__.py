"""HTTP pages of the exporter."""
