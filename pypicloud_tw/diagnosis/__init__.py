"""What ``pypicloud doctor`` looks at: one small check for each thing that can be wrong.

Nothing here changes the store but for an object below ``.probe/``, which is removed.
"""
