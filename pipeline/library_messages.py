"""Decides whether libraries' own messages reach the user: only where ``--verbose`` was given.

It is an environment variable, so that workers, which are processes of their own, know it as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "PIPELINE_LIBRARY_MESSAGES"
_SHOWN = {VARIABLE: "1", "PYTHONWARNINGS": "default"}


def are_shown() -> bool:
    """Whether what TensorFlow, Optuna and MLflow say of themselves is to be seen."""
    return bool(os.environ.get(VARIABLE))


@contextmanager
def shown() -> Iterator[None]:
    """Shows them while the context lasts, here and in processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in _SHOWN}
    os.environ.update(_SHOWN)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
