"""What is claimed about speed, runnable; see README.rst beside this file."""
