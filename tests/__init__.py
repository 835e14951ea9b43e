"""Unit tests: in memory, no ports, no sleeping."""
