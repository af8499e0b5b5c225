"""Trains and measures: everything that touches Keras. Read ``cohort.py`` first."""
