"""Accounts for every row: accepted, rejected or unsent."""
