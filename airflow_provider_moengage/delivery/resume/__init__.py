"""Keeps what a later attempt needs to resume."""
