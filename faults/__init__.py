"""Kills runs at random moments and checks what is lost."""
