"""What a client sees under a project's name, and why."""
