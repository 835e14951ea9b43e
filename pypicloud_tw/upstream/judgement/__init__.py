"""The one judgement of what comes from upstream (decision D10)."""
