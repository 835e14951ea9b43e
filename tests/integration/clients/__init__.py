"""Every client against every kind of store, with every kind of log-in.

A row is a client, or one of its ways: a method of ``test_install``, ``test_publish`` or
``test_mirrors``. A column is a store and a log-in (:mod:`.cells`): a class there. Rows
of clients that take long run in two of the six columns, unless
``PYPICLOUD_CLIENTS_ALL=1`` is set, as a nightly run sets it.
"""
