"""Moving in and out: packages from other indexes, and between machines."""
