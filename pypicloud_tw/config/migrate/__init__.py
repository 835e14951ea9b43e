"""From an ini of pypicloud 1.x to one of ours.

Only the command `pypicloud migrate` knows of it. What cannot be carried over is said.
"""
