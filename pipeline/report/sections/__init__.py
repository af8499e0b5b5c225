"""What a report says, by subject."""
