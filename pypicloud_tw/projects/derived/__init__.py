"""What is derived from all projects, so that pages and searches need not read each.

The manifests alone say what is there. This can be lost at any time, and is made of them
again; no installer's request asks for it.
"""
