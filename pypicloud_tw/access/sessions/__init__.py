"""Sessions: how people stay logged in, in a browser.

Only hashes of their secrets are in the store, and no key that signs anything is
anywhere: whoever can read the store can log in as nobody.
"""
