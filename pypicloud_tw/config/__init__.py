"""The configuration: each key once, its values, where they come from, the ini.

The whole configuration is read before the first complaint, and becomes frozen values.
Nothing here acts on what it reads, or knows who uses it.
"""
