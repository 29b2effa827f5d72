"""Runs of users of whom only the changed ones are sent: run after run on one snapshot, killed, given up and damaged."""
