"""Proposes: search spaces, the study loop and the executors. No Keras below this folder."""
