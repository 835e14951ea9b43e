"""Work over the whole store: adopt, rebuild, verify, sweep, refresh.

Each walks what lies in the store and compares it with the manifests. The server adopts
at its start; each is also a command, and most may run beside a server.
"""
