"""Where packages are taken from: one module for each kind of index."""
