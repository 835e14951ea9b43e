"""The HTTP edge: requests become calls of the domain, values become answers.

Only this package knows HTTP requests. It parses, calls and encodes, and decides nothing
about packages.
"""
