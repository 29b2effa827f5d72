"""Sources of rows: lists, databases and files; and staged copies of query results."""
