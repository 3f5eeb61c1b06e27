"""Values of the exporter: images, observations, events, and the published view. Pure."""
