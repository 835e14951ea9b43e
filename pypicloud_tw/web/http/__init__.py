"""Connections, request heads, bodies, framing, proxies, the access log.

It would serve any Twisted application: nothing here knows of packages, stores or users.
"""
