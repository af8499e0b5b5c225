"""Delivers the ends of trials to MLflow in the background, from an outbox on disk."""
