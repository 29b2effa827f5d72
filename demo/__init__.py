"""``make demo``: sends a shop's customers from a warehouse to the sandbox with the SQL example DAG."""
