"""The names of an upstream's projects, and which of them look like ours.

No name of ours is told to anybody for that: the upstream's whole list is read, once a
day by one server (:mod:`~.refresh`), and compared here.
"""
