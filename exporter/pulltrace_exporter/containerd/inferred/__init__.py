"""Pulls that ended before a poll saw their lease, inferred from image records."""
