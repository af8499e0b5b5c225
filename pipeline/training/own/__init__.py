"""Trains a Keras model of the user's own, one trial at a time, as a family of ours."""
