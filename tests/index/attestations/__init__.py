"""Attestations (PEP 740), without the libraries that verify them."""
