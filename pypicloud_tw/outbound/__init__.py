"""Connections that this server makes: through which proxy, and how.

The store and the upstreams share it, so that the proxies of the environment hold for
both. Nothing here knows what is asked or answered.
"""
