"""The page of a project, for people: values, how they are read, and the routes."""
