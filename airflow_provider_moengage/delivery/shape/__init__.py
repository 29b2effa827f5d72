"""A row becomes a record: its columns, its values, its id."""
