"""What is kept for a later attempt."""
