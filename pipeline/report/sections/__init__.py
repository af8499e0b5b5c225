"""Holds what a report says, one file per subject; ``order`` puts the sections on the page."""
