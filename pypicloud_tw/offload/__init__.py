"""Work apart from the reactor: threads, helper processes, and the limits of each.

What takes long runs here, bounded in memory, time and number, and ends when nobody
waits for it. Nothing here knows what the work is about.
"""
