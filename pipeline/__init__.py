"""Finds the network that overfits least: search proposes, training measures, report chooses.

From Python: ``from pipeline import search, report, load_study`` (``pipeline.api``).
"""

from importlib import import_module
from typing import Any

__all__ = ["load_study", "report", "search"]


def __getattr__(name: str) -> Any:
    # Not at once: the command's `--help` imports this, too.
    if name == "load_study":
        return import_module("pipeline.api").load_study
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
