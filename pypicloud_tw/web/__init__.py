"""The HTTP edge: the only part that knows requests."""
