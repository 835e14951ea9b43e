"""Sockets that others have opened, and what systemd is told."""
