"""Unit tests: in memory, no ports, no sleeping."""

from hypothesis import settings

# No deadline: a busy machine is not a failure. The whole suite stays under a minute.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")
