"""An HTTP/1.1 server: connections, heads, bodies, framing, proxies, the access log.

It would serve any Twisted application: nothing here knows of packages, stores or users.
``connection.py`` says why Twisted's own connection is not used, and what can be deleted
when that changes; ``private_names.py`` lists what is used of Twisted's private names.
"""
