"""The documented rules of MoEngage's records: pure functions and models."""
