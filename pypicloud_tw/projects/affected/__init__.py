"""What this index hosts or has given out that an advisory affects."""
