"""The administration for people: what /api/v1 does of access, audit, prune and status.

Each part calls the same domain functions, which judge who may at each request.
"""
