"""Keras models in MLflow: registered, loaded, checked before they are opened."""
