"""Who did what: records as lines of JSON, in a file and in the store, and reading them.

:mod:`.record` writes a line, :mod:`.trail` brings it where it is kept, :mod:`.stored`
keeps it in the store, :mod:`.reading` reads it there; :mod:`.refusals` bounds what
strangers can cause, and :mod:`.downloads` tells who fetched which file.
"""
