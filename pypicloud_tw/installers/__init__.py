"""What installers and upload clients are told of an index, by pages and by a command.

The lines stand here once. Nothing here knows of a server but its address.
"""
