"""Which trial overfits least: pure functions on records; no file, no Keras, no MLflow."""
