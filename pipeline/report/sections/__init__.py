"""What a report says: one file per subject; ``order`` puts them on the page."""
