"""Lock files of uv, of PEP 751 and of pip: which files they name."""
