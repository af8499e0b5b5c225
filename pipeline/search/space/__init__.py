"""Turns search spaces, YAML files, into configurations."""
