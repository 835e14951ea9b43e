"""Tokens: secrets that stand for a user, or for a trusted publisher's job, and less.

Only hashes of them are in the store: whoever can read that can show none of them.
"""
