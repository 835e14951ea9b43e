"""How often projects are fetched, for whoever may know it."""
