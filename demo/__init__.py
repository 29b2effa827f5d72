"""``make demo``: a shop's customers go from a warehouse into the sandbox with the SQL example DAG."""
