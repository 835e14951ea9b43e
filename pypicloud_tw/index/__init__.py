"""The domain: names, archives, manifests, the catalog, and the acts on projects.

A project is a value, and a change of it is a function that a compare-and-swap makes
durable. Nothing here knows HTTP; `index.py` alone knows the kinds of stores, to take a
lease where a bucket needs one.
"""
