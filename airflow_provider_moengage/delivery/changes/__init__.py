"""What MoEngage has already been sent: the snapshot of earlier runs, and what differs from it."""
