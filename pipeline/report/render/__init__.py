"""Lays a report out as text, Markdown, HTML or JSON."""
