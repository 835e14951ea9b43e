"""The JSON API and the older APIs that clients still speak.

Each renders the same values that the simple API renders.
"""
