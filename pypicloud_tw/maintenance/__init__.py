"""Work over the whole store: adopt, rebuild, verify, sweep, refresh.

Each walks what lies in the store and compares it with the manifests. The server runs
them beside its requests, a command by itself.
"""
