"""Kills runs at random moments and looks what is lost."""
