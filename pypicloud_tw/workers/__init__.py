"""Several processes that serve as one: a parent, which serves nothing, and workers.

The parent listens (:mod:`.supervisor`) and hands the socket to its workers, each of
which accepts connections from it (:mod:`.shared_socket`). Pipes join a worker to its
parent (:mod:`.link`); by them workers tell their siblings what they changed, and gather
their metrics (:mod:`.rounds`).
"""
