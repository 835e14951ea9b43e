"""Who publishes what comes from upstream, and whether they attest it (PEP 740).

:mod:`~.check` fetches a file's provenance, has it verified in a helper process, and
compares who signed with who is pinned (:mod:`~.pins`).
"""
