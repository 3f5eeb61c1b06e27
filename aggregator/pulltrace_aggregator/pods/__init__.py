"""Which container waits for which image, from pods and events. Pure."""
