"""Bundles: what changed in a store, in a tar that is carried to another."""
