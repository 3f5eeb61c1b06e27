"""Which pull serves which waiting image. Pure."""
