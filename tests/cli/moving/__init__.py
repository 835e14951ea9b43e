"""Commands that move packages."""
