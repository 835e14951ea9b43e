"""Advisories: what is known of malware and of vulnerabilities, read from OSV records.

Nothing here knows where a file comes from, or what is done about it.
"""
