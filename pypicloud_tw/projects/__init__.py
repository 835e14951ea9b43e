"""Projects and what is done with them, as the HTTP API and the commands know them.

One interface, two implementations: over the store, and through a server.
"""
