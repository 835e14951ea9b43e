"""The fallback: ask the public index, relay, remember."""
