"""Registers and loads Keras models in MLflow, and checks them before they are opened."""
