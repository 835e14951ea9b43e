"""What installers and upload clients are told of an index."""
