"""Command lines of both programs: flags as a table, help, and the life of a process."""
