"""Sends batches as requests, from many threads."""
