"""The commands: `pypicloud` and `pypicloud-*`, a module for each family of them.

A command reads its options, calls what does the work, and says what came of it. What
it does is elsewhere, so that a server can do the same.
"""
