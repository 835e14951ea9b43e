"""A server that runs, looked at as its clients see it: through all that is in front."""
