"""What a release and its files say of themselves, for people to read."""
