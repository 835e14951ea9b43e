"""Attestations (PEP 740): who signed for a file, judged before it is published.

:mod:`~.service` says whose signatures count for an upload. :mod:`~.verification` runs
in a helper process and asks :mod:`~.judgement`, which is the only module that imports
the libraries that verify; they are an extra.
"""
