"""The commands of who may do what, on the store or through a server."""
