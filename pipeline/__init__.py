"""Finds the network that overfits least: search proposes, training measures, report chooses."""
