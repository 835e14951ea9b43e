"""Fetching what lock files name, for machines without a way out."""
