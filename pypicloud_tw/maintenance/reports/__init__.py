"""The daily report: what whoever looks after an index should know today."""
