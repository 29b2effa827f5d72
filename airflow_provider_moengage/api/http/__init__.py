"""HTTP: the connection pool, bounded responses, and their classification."""
