"""Sockets that somebody else has opened, and what a service manager is told.

Nothing here knows what is served.
"""
