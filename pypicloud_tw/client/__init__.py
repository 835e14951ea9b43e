"""A client of a server's API: who logs in, how it is asked, and what it answers.

What it is asked for are the same values and interfaces as over the store.
"""
