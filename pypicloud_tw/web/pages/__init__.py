"""What a person reads, with its templates beside it.

The same values as for installers, rendered with autoescape. No page needs JavaScript.
"""
