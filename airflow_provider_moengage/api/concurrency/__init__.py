"""How many requests are in flight at once."""
