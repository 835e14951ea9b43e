"""Who may do what: users, passwords, and the policy that judges them.

A request becomes a principal here, and a principal may do an act on a project or may
not. Nothing here knows HTTP beyond the Authorization field, or what a project holds.
"""
