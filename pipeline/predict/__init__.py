"""Predicts with a delivered model on raw inputs."""
