"""How often files are fetched here: counted by each server, summed up by all (D11)."""
