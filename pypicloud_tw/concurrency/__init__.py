"""Waiting, sharing and remembering: what every part may build on.

Here live the primitives that had a second use: many waiters for one answer, a timeout
that is moved often, a bounded cache. Nothing here knows of packages, HTTP or stores.
"""
