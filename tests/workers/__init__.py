"""Several processes that serve as one, without a process."""
