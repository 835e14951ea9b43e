"""Who did what: the records, where they are kept, and how they are read."""
