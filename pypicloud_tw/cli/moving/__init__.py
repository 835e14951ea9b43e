"""Commands that move packages in and out."""
