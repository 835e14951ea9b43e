"""A store in a folder of this machine, safe for several processes.

Every write is a file of its own that is renamed into place; every path is opened below
the folder, never by its whole name.
"""
