"""HTTP: the connection pool, bounded responses, and what a response means."""
