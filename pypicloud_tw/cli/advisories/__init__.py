"""The commands that tell what advisories affect, and the daily report."""
