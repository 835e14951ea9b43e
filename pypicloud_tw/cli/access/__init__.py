"""The commands that show and change who may do what, on the store or through a server."""
