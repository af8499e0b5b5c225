"""Selects the trial that overfits least: pure functions on records; no file, Keras or MLflow."""
