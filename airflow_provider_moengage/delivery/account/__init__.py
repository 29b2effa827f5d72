"""What is known of every row: accepted, rejected, unsent."""
