"""Trusted publishing: the identity token of a CI job, exchanged for one of ours.

A job's issuer signs who the job is (OpenID Connect Core 1.0, section 2); publishers say
whose jobs may do what. What is exchanged is verified by the issuer's published keys,
matched with the publishers, and can be exchanged once.
"""
