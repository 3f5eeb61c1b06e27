"""Which of it is shown, in which order, and what it means. Pure."""
