"""Shapes a row into a record: its columns, its values, its id."""
