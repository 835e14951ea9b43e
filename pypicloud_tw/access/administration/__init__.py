"""Changing and showing who may do what: one interface, whoever asks and from where.

Over the store it does the work (:mod:`.stored`); a client does it through a server. The
values of requests and answers are the same in both (:mod:`.values`).
"""
