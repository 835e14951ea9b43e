"""Work apart from the reactor: threads, helper processes, and the limits of each.

What takes long runs here, bounded in memory and time, and ends when nobody waits for
it. Only `limits.py` knows which kinds of work there are.
"""
