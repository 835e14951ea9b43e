"""A server of 100,000 projects: its start, its lists, its memory, its requests."""
