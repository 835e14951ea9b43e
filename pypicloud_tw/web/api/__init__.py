"""The older APIs that clients still speak.

The JSON API renders the same values as the simple API; XML-RPC is refused, and told so.
"""
