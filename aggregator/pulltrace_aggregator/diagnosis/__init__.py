"""Which pulls are stale, and what blocks a waiting image. Pure."""
