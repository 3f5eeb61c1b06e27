"""Selects and orders what is shown, and says what it means. Pure."""
