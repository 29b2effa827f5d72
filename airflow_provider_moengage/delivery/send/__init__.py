"""Batches become requests, from many threads."""
