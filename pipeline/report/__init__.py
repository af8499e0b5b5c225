"""Chooses and shows: selection rules, the sealed test part, pages."""
