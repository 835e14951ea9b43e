"""Whole servers on one store in memory and one clock, in one process, from a seed.

``python -m tests.simulation 1-100000`` runs many; see docs/architecture/simulation.rst.
"""
