"""Where the bytes are: one interface, and a store for S3, a folder and memory.

A store keeps objects by key and compares before it swaps. It knows nothing of projects
and never decides who may do what.
"""
