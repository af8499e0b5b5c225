"""Reports on a study: chooses, confirms, reads the test part once, and shows why."""
