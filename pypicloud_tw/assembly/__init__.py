"""From the configuration to a running whole: the only place that constructs parts.

Every part is made complete, from parts that are made before it, and handed what it
needs. :mod:`pypicloud_tw.assembly.server` is the table of contents.
"""
