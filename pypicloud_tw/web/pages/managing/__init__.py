"""Pages by which people change projects, for those who may manage them."""
